/**
 * HTTP/1.1 as the Engine API needs it. `fetch` would do, but it starts a thread of its own and crosses to it and back at
 * each request: a third of the time of a short command. @see RFC 9112
 */
import { ByteSocket } from "./byte-socket.ts";
import type { Endpoint } from "./endpoint.ts";

export interface HttpRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  /** A stream or file goes out in chunks. */
  readonly body?: string | ReadableStream<Uint8Array> | Blob;
}

const headBytesMax = 64 * 1024;
const lineBytesMax = 4096;

/** The other side does not speak HTTP, or stopped in the middle of it. */
export class HttpError extends Error {
  override readonly name = "HttpError";
}

/** An answer whose head is read; the body comes when asked for, once. */
export class HttpAnswer {
  constructor(
    readonly status: number,
    readonly headers: ReadonlyMap<string, string>,
    readonly body: AsyncIterable<Uint8Array>,
  ) {}

  async bytes(): Promise<Uint8Array> {
    return Buffer.concat(await Array.fromAsync(this.body));
  }

  async text(): Promise<string> {
    return Buffer.from(await this.bytes()).toString();
  }
}

/** One connection; a request at a time. */
export class HttpConnection {
  private constructor(
    readonly socket: ByteSocket,
    private readonly host: string,
  ) {}

  static async open(endpoint: Endpoint): Promise<HttpConnection> {
    const host = endpoint.kind === "unix" ? "localhost" : `${endpoint.hostname}:${endpoint.port}`;
    return new HttpConnection(await ByteSocket.connect(endpoint), host);
  }

  /** @param onIdle called when the answer is read to its end and the connection can take another request */
  async exchange(request: HttpRequest, onIdle: () => void = () => {}): Promise<HttpAnswer> {
    const sending = this.#send(request);
    // A refusal may come while the body is still on its way; the answer tells more than a broken pipe.
    sending.catch(() => this.socket.close());
    const { status, headers } = await this.#readHead();
    const bodiless = request.method === "HEAD" || status === 204 || status === 304;
    const reusable = headers.get("connection")?.toLowerCase() !== "close";
    const body = bodiless ? none() : this.#body(headers);
    return new HttpAnswer(
      status,
      headers,
      this.#watched(body, reusable ? () => void sending.then(onIdle, () => {}) : null),
    );
  }

  /** Asks for a raw stream. @returns the head; on 101 and 200 the socket is the caller's from here */
  async upgrade(request: HttpRequest): Promise<HttpAnswer> {
    await this.#send({ ...request, headers: { ...request.headers, Connection: "Upgrade", Upgrade: "tcp" } });
    const { status, headers } = await this.#readHead();
    return new HttpAnswer(status, headers, status === 101 || status === 200 ? none() : this.#body(headers));
  }

  async #send({ method, target, headers, body }: HttpRequest): Promise<void> {
    const lines = [`${method} ${target} HTTP/1.1`, `Host: ${this.host}`];
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
    if (body === undefined || typeof body === "string") {
      const text = body ?? "";
      if (text !== "" || method !== "GET") lines.push(`Content-Length: ${Buffer.byteLength(text)}`);
      return this.socket.write(Buffer.from(`${lines.join("\r\n")}\r\n\r\n${text}`));
    }
    lines.push("Transfer-Encoding: chunked");
    await this.socket.write(Buffer.from(`${lines.join("\r\n")}\r\n\r\n`));
    for await (const chunk of body instanceof Blob ? body.stream() : body) {
      if (chunk.byteLength === 0) continue;
      await this.socket.write(Buffer.from(`${chunk.byteLength.toString(16)}\r\n`));
      await this.socket.write(chunk);
      await this.socket.write(crlf);
      if (this.socket.ended) return;
    }
    await this.socket.write(Buffer.from("0\r\n\r\n"));
  }

  /** Interim answers (100 Continue) are passed over. */
  async #readHead(): Promise<{ status: number; headers: Map<string, string> }> {
    for (;;) {
      const lines = (await this.#readThrough("\r\n\r\n", headBytesMax)).split("\r\n");
      const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(lines[0] ?? "")?.[1] ?? 0);
      if (status === 0) throw new HttpError("the daemon does not speak HTTP");
      if (status >= 100 && status < 200 && status !== 101) continue;
      const headers = new Map<string, string>();
      for (const line of lines.slice(1)) {
        const colon = line.indexOf(":");
        if (colon > 0) headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
      }
      return { status, headers };
    }
  }

  /** Text up to `end`, which is taken away as well. */
  async #readThrough(end: string, bytesMax: number): Promise<string> {
    let bytes: Uint8Array = new Uint8Array();
    for (;;) {
      const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(end);
      if (at >= 0) {
        this.socket.unread(bytes.subarray(at + end.length));
        return Buffer.from(bytes.subarray(0, at)).toString("latin1");
      }
      if (bytes.byteLength > bytesMax) throw new HttpError("the daemon's answer is not HTTP: a line without end");
      const chunk = await this.socket.next();
      if (chunk === null) throw this.socket.failure ?? new HttpError("the daemon closed the connection");
      bytes = bytes.byteLength === 0 ? chunk : Buffer.concat([bytes, chunk]);
    }
  }

  async *#body(headers: ReadonlyMap<string, string>): AsyncGenerator<Uint8Array> {
    if (headers.get("transfer-encoding")?.toLowerCase() === "chunked") {
      for (;;) {
        const size = Number.parseInt(await this.#readThrough("\r\n", lineBytesMax), 16);
        if (!(size >= 0)) throw new HttpError("the daemon sent a chunk without a size");
        if (size > 0) yield* this.#exactly(size);
        await this.#readThrough("\r\n", lineBytesMax);
        if (size === 0) return;
      }
    }
    const length = headers.get("content-length");
    if (length !== undefined) return yield* this.#exactly(Number(length));
    for (let chunk = await this.socket.next(); chunk !== null; chunk = await this.socket.next()) yield chunk;
  }

  async *#exactly(size: number): AsyncGenerator<Uint8Array> {
    for (let left = size; left > 0; ) {
      const chunk = await this.socket.next();
      if (chunk === null) throw this.socket.failure ?? new HttpError("the daemon stopped in the middle of its answer");
      const mine = chunk.subarray(0, left);
      this.socket.unread(chunk.subarray(mine.byteLength));
      left -= mine.byteLength;
      yield mine;
    }
  }

  /** Whoever stops reading early cannot leave the rest to the next answer: the connection goes. */
  async *#watched(body: AsyncIterable<Uint8Array>, onWhole: (() => void) | null): AsyncGenerator<Uint8Array> {
    let whole = false;
    try {
      yield* body;
      whole = true;
    } finally {
      if (whole && onWhole !== null) onWhole();
      else this.socket.close();
    }
  }
}

const crlf = Buffer.from("\r\n");

async function* none(): AsyncGenerator<Uint8Array> {}
