/**
 * The daemon's HTTP: node:http for requests, and a plain server before it that takes connections which become raw
 * streams without asking for an upgrade, as old clients do.
 */
import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { createServer as createNetServer, type Server as NetServer, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import { EngineError } from "#base/errors.ts";
import type { Logger } from "#base/log.ts";
import { failure, respond, respondFailure } from "./respond.ts";
import { type ApiRequest, Router, type Routes } from "./router.ts";
import { joinHijacked, type TakenConnection } from "./streams/hijack.ts";
import { apiVersionMax, splitVersion } from "./versions.ts";

/** A JSON body larger than this is no container. */
const jsonBytesMax = 8 << 20;
const headBytesMax = 64 * 1024;
const hijackPath = /^POST (?:\/v\d+\.\d+)?\/(?:containers\/[^/]+\/attach|exec\/[^/]+\/start)(?:\?| )/;

export interface ApiOptions {
  readonly routes: Routes;
  readonly log: Logger;
  /** Of the engine, for the Server header. */
  readonly version: string;
}

/** The API on any number of listening sockets. */
export class ApiServer {
  readonly #router: Router;
  readonly #http: HttpServer;
  readonly #sockets = new Set<Socket>();

  constructor(private readonly options: ApiOptions) {
    this.#router = new Router(options.routes);
    this.#http = createHttpServer(
      { maxHeaderSize: headBytesMax },
      (request, response) => void this.#serve(request, response),
    );
    this.#http.on(
      "upgrade",
      (request: IncomingMessage, socket: Socket, head: Buffer) => void this.#serveUpgrade(request, socket, head),
    );
    this.#http.requestTimeout = 0;
    this.#http.timeout = 0;
  }

  /** A server to call `listen` on. With `tls`, clients speak TLS. */
  listener(tls?: TlsOptions): NetServer {
    const onConnection = (socket: Socket) => this.#onConnection(socket);
    return tls === undefined
      ? createNetServer({ allowHalfOpen: true }, onConnection)
      : createTlsServer({ ...tls, allowHalfOpen: true }, onConnection);
  }

  /** Cuts every connection. */
  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #onConnection(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.once("data", (chunk: Buffer) => {
      socket.pause();
      const line = chunk.toString("latin1", 0, Math.min(chunk.byteLength, 2048));
      if (hijackPath.test(line) && !/\r\nupgrade:/i.test(chunk.toString("latin1"))) {
        void this.#serveRaw(socket, chunk);
        return;
      }
      socket.unshift(chunk);
      this.#http.emit("connection", socket);
      socket.resume();
    });
  }

  #headers(): Record<string, string> {
    return {
      "Api-Version": `1.${apiVersionMax}`,
      "Docker-Experimental": "false",
      Ostype: "linux",
      Server: `Skiff/${this.options.version} (linux)`,
    };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(this.#headers())) response.setHeader(name, value);
    const what = `${request.method} ${(request.url ?? "").split("?")[0]}`;
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    try {
      const reply = await this.#dispatch(request, gone.signal);
      if (reply.kind === "hijack") {
        throw new EngineError(
          "invalid",
          what,
          "this request needs the header Upgrade: tcp when the connection was used before",
        );
      }
      await respond(response, reply, this.options.log, what);
    } catch (error) {
      if (gone.signal.aborted) response.destroy();
      else respondFailure(response, error, this.options.log, what);
    }
  }

  async #dispatch(request: IncomingMessage, signal: AbortSignal) {
    const url = new URL(request.url ?? "/", "http://localhost");
    const { version, path } = splitVersion(url.pathname);
    const found = this.#router.find(request.method ?? "GET", path);
    if (found === null) throw new EngineError("not-found", path, "page not found");
    const headers = request.headers as Record<string, string | undefined>;
    const apiRequest: ApiRequest = {
      method: request.method ?? "GET",
      version,
      params: found.params,
      query: url.searchParams,
      headers,
      body: request,
      json: () => readJson(request, headers),
      signal,
    };
    return found.handler(apiRequest);
  }

  /** After an upgrade node reads nothing more: the body of the request, too, is in `head` or still to come. */
  async #serveUpgrade(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    const length = Number(request.headers["content-length"] ?? 0);
    const bytes = await readAtLeast(socket, head, Math.min(length, jsonBytesMax));
    const { method = "GET", url = "/", headers } = request;
    const whole = Object.assign(oneChunk(bytes.subarray(0, length)), {
      method,
      url,
      headers,
    }) as unknown as IncomingMessage;
    await this.#takeOver(whole, { socket, head: bytes.subarray(length), upgrade: true });
  }

  async #takeOver(request: IncomingMessage, connection: TakenConnection): Promise<void> {
    const { socket } = connection;
    const what = `${request.method} ${(request.url ?? "").split("?")[0]}`;
    const gone = new AbortController();
    socket.once("close", () => gone.abort());
    try {
      const reply = await this.#dispatch(request, gone.signal);
      if (reply.kind !== "hijack") {
        await this.#respondRaw(
          socket,
          reply.kind === "json" || reply.kind === "text" ? reply.status : 200,
          reply.kind === "json" ? reply.body : null,
        );
        return;
      }
      const { version } = splitVersion(new URL(request.url ?? "/", "http://localhost").pathname);
      await joinHijacked(connection, { terminal: reply.terminal, version, open: reply.open });
    } catch (error) {
      const { status, message } = failure(error, this.options.log, what);
      await this.#respondRaw(socket, status, { message });
    }
  }

  async #respondRaw(socket: Socket, status: number, body: unknown): Promise<void> {
    const text = body === null ? "" : `${JSON.stringify(body)}\n`;
    const headers = Object.entries({
      ...this.#headers(),
      "Content-Type": "application/json",
      "Content-Length": String(Buffer.byteLength(text)),
      Connection: "close",
    });
    socket.end(
      `HTTP/1.1 ${status} ${reasons[status] ?? "Status"}\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${text}`,
    );
  }

  /** Reads head and body of a request on a connection that will be hijacked without an upgrade. */
  async #serveRaw(socket: Socket, first: Buffer): Promise<void> {
    let bytes = first;
    let end = bytes.indexOf("\r\n\r\n");
    while (end < 0) {
      const before = bytes.byteLength;
      if (before <= headBytesMax) bytes = await readAtLeast(socket, bytes, before + 1);
      if (bytes.byteLength === before) {
        socket.destroy();
        return;
      }
      end = bytes.indexOf("\r\n\r\n");
    }
    const [requestLine = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
    const [method = "", url = ""] = requestLine.split(" ");
    const headers = Object.fromEntries(
      lines.map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    const length = Number(headers["content-length"] ?? 0);
    const bodyStart = end + 4;
    bytes = await readAtLeast(socket, bytes, bodyStart + Math.min(length, jsonBytesMax));
    const body = bytes.subarray(bodyStart, bodyStart + length);
    const request = Object.assign(oneChunk(body), { method, url, headers }) as unknown as IncomingMessage;
    await this.#takeOver(request, { socket, head: bytes.subarray(bodyStart + length), upgrade: false });
  }
}

const reasons: Record<number, string> = {
  200: "OK",
  304: "Not Modified",
  400: "Bad Request",
  404: "Not Found",
  409: "Conflict",
  500: "Internal Server Error",
};

/** What has come of a connection, with more of it until there are `count` bytes or it ends. */
async function readAtLeast(socket: Socket, had: Buffer, count: number): Promise<Buffer> {
  let bytes = had;
  while (bytes.byteLength < count) {
    const chunk = await new Promise<Buffer | null>((resolve) => {
      const onData = (data: Buffer) => settle(data);
      const onEnd = () => settle(null);
      const settle = (data: Buffer | null) => {
        socket.off("data", onData);
        socket.off("end", onEnd);
        socket.off("close", onEnd);
        socket.pause();
        resolve(data);
      };
      socket.on("data", onData);
      socket.on("end", onEnd);
      socket.on("close", onEnd);
      socket.resume();
    });
    if (chunk === null) return bytes;
    bytes = Buffer.concat([bytes, chunk]);
  }
  return bytes;
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.byteLength > 0) yield bytes;
}

async function readJson(
  body: AsyncIterable<Uint8Array>,
  headers: Record<string, string | undefined>,
): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > jsonBytesMax)
      throw new EngineError("invalid", "body", `request body is larger than ${jsonBytesMax} bytes`);
    chunks.push(chunk);
  }
  if (size === 0) return null;
  const type = (headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  if (type !== "application/json") {
    throw new EngineError(
      "invalid",
      "Content-Type",
      `unsupported Content-Type header (${headers["content-type"] ?? ""}): must be 'application/json'`,
    );
  }
  const text = Buffer.concat(chunks).toString("utf8");
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new EngineError("invalid", "body", `invalid JSON: ${error instanceof Error ? error.message : "malformed"}`);
  }
}
