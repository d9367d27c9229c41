import type { Endpoint, TlsMaterial } from "./endpoint.ts";

/** Bytes that were received and not yet asked for; above this the other side has to wait. */
const queuedBytesMax = 1 << 20;

interface RawSocket {
  write(bytes: Uint8Array | string): number;
  shutdown(): void;
  pause(): void;
  resume(): void;
  terminate(): void;
}

/** A stream socket to a daemon with back-pressure both ways. */
export class ByteSocket {
  #socket: RawSocket | null = null;
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #paused = false;
  #ended = false;
  #failure: Error | null = null;
  #wakeReader = () => {};
  #wakeWriter = () => {};

  private constructor() {}

  /** @throws Error with the system's code when nobody answers */
  static async connect(endpoint: Endpoint): Promise<ByteSocket> {
    const made = new ByteSocket();
    const handlers = {
      data: (_: unknown, chunk: Uint8Array) => made.#onData(Uint8Array.from(chunk)),
      drain: () => made.#wakeWriter(),
      end: () => made.#onEnd(null),
      close: () => made.#onEnd(null),
      error: (_: unknown, error: Error) => made.#onEnd(error),
    };
    const place =
      endpoint.kind === "unix"
        ? { unix: endpoint.path }
        : {
            hostname: endpoint.hostname.replace(/^\[|\]$/g, ""),
            port: endpoint.port,
            ...(endpoint.tls !== null && { tls: tlsOptions(endpoint.tls) }),
          };
    made.#socket = (await Bun.connect({ ...place, allowHalfOpen: true, socket: handlers } as Parameters<
      typeof Bun.connect
    >[0])) as unknown as RawSocket;
    return made;
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

  /** Why the connection ended, where it was not simply closed. */
  get failure(): Error | null {
    return this.#failure;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The next bytes; null at the end. */
  async next(): Promise<Uint8Array | null> {
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
      });
    }
  }

  /** Puts bytes back that belong to whoever reads next. */
  unread(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    this.#queue.unshift(bytes);
    this.#queuedBytes += bytes.byteLength;
  }

  /** Resolves when it is safe to write more; what the other side no longer takes is dropped. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.byteLength && !this.#ended; ) {
      offset += Math.max(0, this.#socket?.write(bytes.subarray(offset)) ?? 0);
      if (offset >= bytes.byteLength) return;
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve;
        if (this.#ended) resolve();
      });
    }
  }

  /** Half-close: what comes in goes on. */
  closeInput(): void {
    if (!this.#ended) this.#socket?.shutdown();
  }

  close(): void {
    this.#socket?.terminate();
    this.#onEnd(null);
  }
}

function tlsOptions(tls: TlsMaterial) {
  return {
    ...(tls.ca !== undefined && { ca: tls.ca }),
    ...(tls.cert !== undefined && { cert: tls.cert }),
    ...(tls.key !== undefined && { key: tls.key }),
    rejectUnauthorized: tls.verify,
  };
}
