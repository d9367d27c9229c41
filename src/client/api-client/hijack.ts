import { ApiError, messageOf, tlsOptions } from "./api-client.ts";
import type { Endpoint } from "./endpoint.ts";

/** A connection that became a stream of bytes. */
export interface HijackedConnection {
  /** Raw for a terminal, frames otherwise. Ends when the daemon closes. */
  readonly output: AsyncIterable<Uint8Array>;
  /** Resolves when it is safe to write more. */
  write(bytes: Uint8Array): Promise<void>;
  /** Half-close: output goes on. */
  closeInput(): void;
  close(): void;
}

const headBytesMax = 64 * 1024;
/** Output waiting for a slow terminal. */
const queuedBytesMax = 1 << 20;

interface RawSocket {
  write(bytes: Uint8Array | string): number;
  end(): void;
  shutdown(): void;
  pause(): void;
  resume(): void;
  terminate(): void;
}

/** Sends the request that asks for a raw stream and reads the answer's head. @throws ApiError when refused */
export async function openHijacked(endpoint: Endpoint, target: string, json: unknown): Promise<HijackedConnection> {
  const stream = new SocketStream();
  await stream.connect(endpoint);
  const body = json === undefined ? "" : JSON.stringify(json);
  const host = endpoint.kind === "unix" ? "localhost" : `${endpoint.hostname}:${endpoint.port}`;
  const headers = [
    "Connection: Upgrade",
    "Upgrade: tcp",
    `Host: ${host}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  if (body !== "") headers.push("Content-Type: application/json");
  await stream.write(Buffer.from(`POST ${target} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n${body}`));
  const { status, rest } = await stream.readHead();
  if (status === 101 || status === 200) {
    stream.unread(rest);
    return stream;
  }
  let text = Buffer.from(rest).toString();
  for await (const chunk of stream.output) text += Buffer.from(chunk).toString();
  stream.close();
  throw new ApiError(status, messageOf(text, status));
}

class SocketStream implements HijackedConnection {
  readonly output: AsyncIterable<Uint8Array>;
  #socket: RawSocket | null = null;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #paused = false;
  #ended = false;
  #failure: Error | null = null;
  #wakeReader = () => {};
  #wakeWriter = () => {};

  constructor() {
    this.output = this.#read();
  }

  async connect(endpoint: Endpoint): Promise<void> {
    const handlers = {
      data: (_: unknown, chunk: Uint8Array) => this.#onData(Uint8Array.from(chunk)),
      drain: () => this.#wakeWriter(),
      end: () => this.#onEnd(null),
      close: () => this.#onEnd(null),
      error: (_: unknown, error: Error) => this.#onEnd(error),
    };
    const place =
      endpoint.kind === "unix"
        ? { unix: endpoint.path }
        : {
            hostname: endpoint.hostname.replace(/^\[|\]$/g, ""),
            port: endpoint.port,
            ...(endpoint.tls !== null && { tls: tlsOptions(endpoint.tls) }),
          };
    this.#socket = (await Bun.connect({ ...place, allowHalfOpen: true, socket: handlers } as Parameters<
      typeof Bun.connect
    >[0])) as unknown as RawSocket;
  }

  #onData(chunk: Uint8Array): void {
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.byteLength;
    if (this.#queuedBytes > queuedBytesMax && !this.#paused) {
      this.#paused = true;
      this.#socket?.pause();
    }
    this.#wakeReader();
  }

  #onEnd(error: Error | null): void {
    this.#ended = true;
    this.#failure ??= error;
    this.#wakeReader();
    this.#wakeWriter();
  }

  async #next(): Promise<Uint8Array | null> {
    for (;;) {
      const chunk = this.#queue.shift();
      if (chunk !== undefined) {
        this.#queuedBytes -= chunk.byteLength;
        if (this.#paused && this.#queuedBytes < queuedBytesMax / 2) {
          this.#paused = false;
          this.#socket?.resume();
        }
        return chunk;
      }
      if (this.#ended) return null;
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
        if (this.#queue.length > 0 || this.#ended) resolve();
      });
    }
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    for (let chunk = await this.#next(); chunk !== null; chunk = await this.#next()) yield chunk;
  }

  async readHead(): Promise<{ status: number; rest: Uint8Array }> {
    let bytes = Buffer.alloc(0);
    for (;;) {
      const end = bytes.indexOf("\r\n\r\n");
      if (end >= 0) {
        const status = Number(/^HTTP\/1\.\d (\d{3})/.exec(bytes.toString("latin1", 0, end))?.[1] ?? 0);
        return { status, rest: bytes.subarray(end + 4) };
      }
      const chunk = await this.#next();
      if (chunk === null || bytes.byteLength > headBytesMax)
        throw this.#failure ?? new Error("the daemon closed the connection");
      bytes = Buffer.concat([bytes, chunk]);
    }
  }

  unread(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    this.#queue.unshift(bytes);
    this.#queuedBytes += bytes.byteLength;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.byteLength && !this.#ended; ) {
      const written = this.#socket?.write(bytes.subarray(offset)) ?? 0;
      offset += Math.max(0, written);
      if (offset >= bytes.byteLength) return;
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve;
        if (this.#ended) resolve();
      });
    }
  }

  closeInput(): void {
    if (!this.#ended) this.#socket?.shutdown();
  }

  close(): void {
    this.#socket?.terminate();
    this.#onEnd(null);
  }
}
