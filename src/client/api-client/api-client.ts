/** A thin client of the Engine API: JSON requests, streams both ways, hijacked connections. Paths carry no version: every daemon takes its own newest then. */
import type { ByteSocket } from "./byte-socket.ts";
import type { Endpoint } from "./endpoint.ts";
import { type HijackedConnection, hijacked } from "./hijack.ts";
import { type HttpAnswer, HttpConnection, type HttpRequest } from "./http.ts";

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
  /** Connections whose last answer was read to its end. */
  readonly #idle: HttpConnection[] = [];

  /** @param revive called once when nobody answers; true: a daemon was started, try again */
  constructor(
    readonly endpoint: Endpoint,
    private readonly revive: () => Promise<boolean> = async () => false,
  ) {}

  /** @throws ApiError on a refusal, ConnectionError when nobody answers */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<HttpAnswer> {
    const answer = await this.#exchange(method, path, options);
    if (answer.status < 400) return answer;
    throw new ApiError(answer.status, messageOf(await answer.text(), answer.status));
  }

  async #exchange(method: string, path: string, options: RequestOptions): Promise<HttpAnswer> {
    const body = options.json === undefined ? options.body : JSON.stringify(options.json);
    const request: HttpRequest = {
      method,
      target: `${path}${queryText(options.query)}`,
      headers: { ...(options.json !== undefined && { "Content-Type": "application/json" }), ...options.headers },
      ...(body !== undefined && { body }),
    };
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (connection.socket.ended) continue;
      try {
        return await this.#use(connection, request);
      } catch (error) {
        // The daemon may have closed it while it lay idle; only what changes nothing is asked twice.
        if (method !== "GET" && method !== "HEAD") throw this.#unanswered(error);
        break;
      }
    }
    try {
      return await this.#use(await this.#connect(), request);
    } catch (error) {
      throw this.#unanswered(error);
    }
  }

  async #use(connection: HttpConnection, request: HttpRequest): Promise<HttpAnswer> {
    return connection.exchange(request, () => this.#idle.push(connection));
  }

  async #connect(): Promise<HttpConnection> {
    try {
      return await HttpConnection.open(this.endpoint);
    } catch (error) {
      if (isUnanswered(error) && (await this.revive())) return HttpConnection.open(this.endpoint);
      throw error;
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
    const answer = await this.request(method, path, options);
    return JSON.parse(await answer.text()) as T;
  }

  /** For answers without a body. */
  async send(method: string, path: string, options: RequestOptions = {}): Promise<void> {
    const answer = await this.request(method, path, options);
    await answer.bytes();
  }

  /** Objects of a stream of JSON lines, as they come. */
  async *messages<T>(method: string, path: string, options: RequestOptions = {}): AsyncGenerator<T> {
    const answer = await this.request(method, path, options);
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of answer.body) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.trim() !== "") yield JSON.parse(line) as T;
    }
    if (rest.trim() !== "") yield JSON.parse(rest) as T;
  }

  /** Takes a connection over as a raw stream (attach, exec). @throws ApiError, ConnectionError */
  async hijack(path: string, options: { query?: Query; json?: unknown } = {}): Promise<HijackedConnection> {
    const { answer, socket } = await this.#upgrade(`${path}${queryText(options.query)}`, options.json);
    if (answer.status === 101 || answer.status === 200) return hijacked(socket);
    const text = await answer.text();
    socket.close();
    throw new ApiError(answer.status, messageOf(text, answer.status));
  }

  async #upgrade(target: string, json: unknown): Promise<{ answer: HttpAnswer; socket: ByteSocket }> {
    try {
      const connection = await this.#connect();
      const body = json === undefined ? undefined : JSON.stringify(json);
      const answer = await connection.upgrade({
        method: "POST",
        target,
        headers: body === undefined ? {} : { "Content-Type": "application/json" },
        ...(body !== undefined && { body }),
      });
      return { answer, socket: connection.socket };
    } catch (error) {
      throw this.#unanswered(error);
    }
  }
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
