import { closeSync } from "node:fs";
import { EngineError } from "#base/errors.ts";
import { connectSeqpacket, shutdownWrite } from "#linux/process/unix-socket.ts";
import type { StreamChunk } from "#spec/engine-api/frame.ts";
import type { Attachment } from "./runtime.ts";

/** conmon mixes up larger packets. */
const inputBytesMax = 16 * 1024;
/** Output waiting for a slow reader; conmon's socket holds the rest, and then the container itself waits. */
const queuedBytesMax = 1 << 20;
/** First byte of every packet from conmon. */
const stdoutPipe = 2;
const stderrPipe = 3;

interface BunSocket {
  write(bytes: Uint8Array): number;
  end(): void;
  pause(): void;
  resume(): void;
}

/** A connection to conmon's attach socket. */
export class ConmonAttachment implements Attachment {
  readonly output: AsyncIterable<StreamChunk>;
  readonly #fd: number;
  readonly #queue: StreamChunk[] = [];
  #queuedBytes = 0;
  #socket: BunSocket | null = null;
  #ended = false;
  #paused = false;
  #wakeReader: () => void = () => {};
  #wakeWriter: () => void = () => {};
  #inputClosed = false;

  private constructor(fd: number) {
    this.#fd = fd;
    this.output = this.#read();
  }

  /** @throws SyscallError when nobody listens */
  static async open(path: string): Promise<ConmonAttachment> {
    const fd = connectSeqpacket(path);
    const attachment = new ConmonAttachment(fd);
    try {
      await attachment.#connect();
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return attachment;
  }

  async #connect(): Promise<void> {
    this.#socket = (await Bun.connect({
      fd: this.#fd,
      socket: {
        data: (_socket: unknown, packet: Uint8Array) => this.#onPacket(packet),
        drain: () => this.#wakeWriter(),
        close: () => this.#onEnd(),
        end: () => this.#onEnd(),
        error: () => this.#onEnd(),
      },
    } as unknown as Parameters<typeof Bun.connect>[0])) as unknown as BunSocket;
  }

  #onPacket(packet: Uint8Array): void {
    if (packet.byteLength < 2) return;
    const pipe = packet[0];
    if (pipe !== stdoutPipe && pipe !== stderrPipe) return;
    // The buffer belongs to Bun and is used again.
    const bytes = Uint8Array.from(packet.subarray(1));
    this.#queue.push({ kind: pipe === stdoutPipe ? "stdout" : "stderr", bytes });
    this.#queuedBytes += bytes.byteLength;
    if (this.#queuedBytes > queuedBytesMax && !this.#paused) {
      this.#paused = true;
      this.#socket?.pause();
    }
    this.#wakeReader();
  }

  #onEnd(): void {
    this.#ended = true;
    this.#wakeReader();
    this.#wakeWriter();
  }

  async *#read(): AsyncGenerator<StreamChunk> {
    for (;;) {
      for (let chunk = this.#queue.shift(); chunk !== undefined; chunk = this.#queue.shift()) {
        this.#queuedBytes -= chunk.bytes.byteLength;
        if (this.#paused && this.#queuedBytes < queuedBytesMax / 2) {
          this.#paused = false;
          this.#socket?.resume();
        }
        yield chunk;
      }
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
        if (this.#queue.length > 0 || this.#ended) resolve();
      });
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.byteLength; ) {
      if (this.#ended || this.#inputClosed)
        throw new EngineError("conflict", "stdin", "the process has ended or its input is closed");
      const piece = bytes.subarray(offset, offset + inputBytesMax);
      const written = this.#socket?.write(piece) ?? 0;
      if (written > 0) offset += written;
      if (written < piece.byteLength) {
        await new Promise<void>((resolve) => {
          this.#wakeWriter = resolve;
          if (this.#ended) resolve();
        });
      }
    }
  }

  async closeInput(): Promise<void> {
    if (this.#ended || this.#inputClosed) return;
    this.#inputClosed = true;
    // Not end(): that would close the side from which output still comes.
    shutdownWrite(this.#fd);
  }

  close(): void {
    if (this.#ended) return;
    this.#socket?.end();
    this.#onEnd();
  }
}
