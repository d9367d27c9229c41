import { EngineError } from "#base/errors.ts";

/** Takes counted pieces from a stream of chunks, without copying where a piece lies in one chunk. */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);
  #offset = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Makes at least one byte available. @returns false at the end of the stream */
  async #fill(): Promise<boolean> {
    while (this.#offset >= this.#chunk.byteLength) {
      const { done, value } = await this.#source.next();
      if (done === true) return false;
      this.#chunk = value;
      this.#offset = 0;
    }
    return true;
  }

  /** `count` bytes if they lie in the chunk at hand; null when `take` must be awaited. */
  takeNow(count: number): Uint8Array | null {
    if (this.#chunk.byteLength - this.#offset < count) return null;
    const piece = this.#chunk.subarray(this.#offset, this.#offset + count);
    this.#offset += count;
    return piece;
  }

  /** Exactly `count` bytes; null when the stream ends before the first of them. @throws EngineError `invalid` "unexpected EOF" */
  async take(count: number): Promise<Uint8Array | null> {
    const now = this.takeNow(count);
    if (now !== null) return now;
    const piece = new Uint8Array(count);
    let filled = 0;
    while (filled < count) {
      if (!(await this.#fill())) {
        if (filled === 0) return null;
        throw truncated();
      }
      const step = Math.min(count - filled, this.#chunk.byteLength - this.#offset);
      piece.set(this.#chunk.subarray(this.#offset, this.#offset + step), filled);
      this.#offset += step;
      filled += step;
    }
    return piece;
  }

  /** Up to `countMax` bytes, as many as are at hand, at least one. @throws EngineError `invalid` at the end of the stream */
  async some(countMax: number): Promise<Uint8Array> {
    if (!(await this.#fill())) throw truncated();
    const step = Math.min(countMax, this.#chunk.byteLength - this.#offset);
    const piece = this.#chunk.subarray(this.#offset, this.#offset + step);
    this.#offset += step;
    return piece;
  }

  async skip(count: number): Promise<void> {
    for (let left = count; left > 0; ) left -= (await this.some(left)).byteLength;
  }

  /** Reads the stream to its end, for those who hash what passes. */
  async drain(): Promise<void> {
    this.#offset = this.#chunk.byteLength;
    while (await this.#fill()) this.#offset = this.#chunk.byteLength;
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }
}

function truncated(): EngineError {
  return new EngineError("invalid", "tar", "unexpected EOF");
}
