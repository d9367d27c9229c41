/** A thin client of the Engine API: JSON requests, streams both ways, hijacked connections. Paths carry no version: every daemon takes its own newest then. */
import type { Endpoint } from "./endpoint.ts";
import { type HijackedConnection, openHijacked } from "./hijack.ts";

/** The daemon refused: its status and words. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Nobody answers at the endpoint. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}

export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

export interface RequestOptions {
  readonly query?: Query;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is. */
  readonly body?: ReadableStream<Uint8Array> | Blob;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export function queryText(query: Query | undefined): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value === undefined || value === "") continue;
    if (Array.isArray(value)) for (const item of value as readonly string[]) parameters.append(key, item);
    else parameters.append(key, value === true ? "1" : value === false ? "0" : String(value));
  }
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}

export class ApiClient {
  /** @param revive called once when nobody answers; true: a daemon was started, try again */
  constructor(
    readonly endpoint: Endpoint,
    private readonly revive: () => Promise<boolean> = async () => false,
  ) {}

  /** @throws ApiError on a refusal, ConnectionError when nobody answers */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    const response = await this.#fetch(method, path, options);
    if (response.status < 400) return response;
    throw new ApiError(response.status, messageOf(await response.text(), response.status));
  }

  async #fetch(method: string, path: string, options: RequestOptions): Promise<Response> {
    const { endpoint } = this;
    const body = options.json === undefined ? options.body : JSON.stringify(options.json);
    const headers = { ...(options.json !== undefined && { "Content-Type": "application/json" }), ...options.headers };
    const secure = endpoint.kind === "tcp" && endpoint.tls !== null;
    const origin =
      endpoint.kind === "unix"
        ? "http://localhost"
        : `${secure ? "https" : "http"}://${endpoint.hostname}:${endpoint.port}`;
    const init = {
      method,
      headers,
      ...(body !== undefined && { body }),
      ...(options.signal !== undefined && { signal: options.signal }),
      ...(endpoint.kind === "unix"
        ? { unix: endpoint.path }
        : endpoint.tls !== null && { tls: tlsOptions(endpoint.tls) }),
      // A wait or a log may be silent for days.
      timeout: false,
      decompress: false,
    } as unknown as RequestInit;
    try {
      return await fetch(`${origin}${path}${queryText(options.query)}`, init);
    } catch (error) {
      if (options.signal?.aborted === true) throw error;
      if (isUnanswered(error) && (await this.revive()))
        return fetch(`${origin}${path}${queryText(options.query)}`, init);
      throw this.#unanswered(error);
    }
  }

  #unanswered(error: unknown): Error {
    const { host } = this.endpoint;
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "EACCES" || code === "EPERM") {
      return new ConnectionError(`permission denied while trying to connect to the Skiff daemon socket at ${host}`, {
        cause: error,
      });
    }
    if (isUnanswered(error))
      return new ConnectionError(`Cannot connect to the Skiff daemon at ${host}. Is the skiff daemon running?`, {
        cause: error,
      });
    return new ConnectionError(`error during connect: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }

  async json<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const response = await this.request(method, path, options);
    return (await response.json()) as T;
  }

  /** For answers without a body. */
  async send(method: string, path: string, options: RequestOptions = {}): Promise<void> {
    const response = await this.request(method, path, options);
    await response.arrayBuffer();
  }

  /** Objects of a stream of JSON lines, as they come. */
  async *messages<T>(method: string, path: string, options: RequestOptions = {}): AsyncGenerator<T> {
    const response = await this.request(method, path, options);
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.trim() !== "") yield JSON.parse(line) as T;
    }
    if (rest.trim() !== "") yield JSON.parse(rest) as T;
  }

  /** Takes a connection over as a raw stream (attach, exec). @throws ApiError, ConnectionError */
  async hijack(path: string, options: { query?: Query; json?: unknown } = {}): Promise<HijackedConnection> {
    const target = `${path}${queryText(options.query)}`;
    try {
      return await openHijacked(this.endpoint, target, options.json);
    } catch (error) {
      if (error instanceof ApiError) throw error;
      if (isUnanswered(error) && (await this.revive())) return openHijacked(this.endpoint, target, options.json);
      throw this.#unanswered(error);
    }
  }
}

export function tlsOptions(tls: {
  ca: string | undefined;
  cert: string | undefined;
  key: string | undefined;
  verify: boolean;
}) {
  return {
    ...(tls.ca !== undefined && { ca: tls.ca }),
    ...(tls.cert !== undefined && { cert: tls.cert }),
    ...(tls.key !== undefined && { key: tls.key }),
    rejectUnauthorized: tls.verify,
  };
}

function isUnanswered(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return ["FailedToOpenSocket", "ConnectionRefused", "ECONNREFUSED", "ENOENT"].includes(code);
}

/** The `message` of Docker's error form, or the text itself. */
export function messageOf(text: string, status: number): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === "string" && message !== "") return message;
  } catch {
    // a proxy in between answers in its own words
  }
  return text.trim() === "" ? `request failed with status ${status}` : text.trim();
}
