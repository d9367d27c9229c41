/**
 * The 8-byte frame header of non-terminal attach, exec and log streams: [stream, 0, 0, 0, big-endian length].
 * @see Docker Engine API, ContainerAttach "Stream format"
 */
export type StreamKind = "stdin" | "stdout" | "stderr";

const codes: Record<StreamKind, number> = { stdin: 0, stdout: 1, stderr: 2 };
const kinds: readonly StreamKind[] = ["stdin", "stdout", "stderr"];

/** Bytes of one stream of a container. */
export interface StreamChunk {
  readonly kind: "stdout" | "stderr";
  readonly bytes: Uint8Array;
}

/** The header for `length` bytes that follow. */
export function frameHeader(kind: StreamKind, length: number): Uint8Array {
  const header = new Uint8Array(8);
  header[0] = codes[kind];
  new DataView(header.buffer).setUint32(4, length);
  return header;
}

/** One frame: header and payload in one buffer. */
export function encodeFrame(kind: StreamKind, bytes: Uint8Array): Uint8Array {
  const frame = new Uint8Array(8 + bytes.byteLength);
  frame.set(frameHeader(kind, bytes.byteLength));
  frame.set(bytes, 8);
  return frame;
}

/** Takes a framed stream apart, however it was cut into chunks. Payload is passed on as it comes, never collected. */
export class FrameDecoder {
  readonly #header = new Uint8Array(8);
  #headerFilled = 0;
  #left = 0;
  #kind: StreamKind = "stdout";

  /** @throws Error on a stream number other than 0, 1, 2 (3, Docker's systemerr, is reported as its text) */
  *push(chunk: Uint8Array): Generator<{ kind: StreamKind; bytes: Uint8Array }> {
    let offset = 0;
    while (offset < chunk.byteLength) {
      if (this.#left > 0) {
        const take = Math.min(this.#left, chunk.byteLength - offset);
        yield { kind: this.#kind, bytes: chunk.subarray(offset, offset + take) };
        this.#left -= take;
        offset += take;
        continue;
      }
      const take = Math.min(8 - this.#headerFilled, chunk.byteLength - offset);
      this.#header.set(chunk.subarray(offset, offset + take), this.#headerFilled);
      this.#headerFilled += take;
      offset += take;
      if (this.#headerFilled < 8) return;
      this.#headerFilled = 0;
      const kind = kinds[this.#header[0] ?? 255];
      if (kind === undefined) throw new Error(`unrecognized stream number ${this.#header[0]} in frame header`);
      this.#kind = kind;
      this.#left = new DataView(this.#header.buffer).getUint32(4);
    }
  }
}
