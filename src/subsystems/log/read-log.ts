import { watch } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import type { StreamChunk } from "#spec/engine-api/frame.ts";
import type { LogQuery } from "./log.ts";
import { fileIdentity, logFiles, offsetOfLastLines } from "./log-files.ts";
import { dockerTime, parseRecord, recordTimeNs } from "./record.ts";

const lineFeed = 0x0a;
const blockBytes = 256 * 1024;
/** The directory watch tells at once; this finds what it may miss. */
const pollMs = 250;

/**
 * The container's output across rotated files, oldest first, byte for byte. See Logs.read.
 * @param path the current log file
 */
export async function* readLog(
  path: string,
  query: LogQuery,
  ended: Promise<void> | null,
  signal: AbortSignal,
): AsyncGenerator<StreamChunk> {
  const decoder = new RecordDecoder(query);
  let isOver = ended === null || query.follow !== true;
  void ended?.then(
    () => {
      isOver = true;
    },
    () => {
      isOver = true;
    },
  );
  using growth = query.follow === true ? new Growth(dirname(path), ended, signal) : null;
  let place = await startingPlace(path, query);
  while (!signal.aborted && !decoder.past) {
    if (place === null) {
      if (isOver) return;
      await growth?.next();
      place = await startingPlace(path, query);
      continue;
    }
    // Read before the look at what is over: what was written until then is on disk.
    const over = isOver;
    const current: Place = place;
    await using file = await open(current.file, "r").catch(() => null);
    if (file === null) {
      place = await startingPlace(path, query);
      continue;
    }
    const { dev, ino } = await file.stat();
    const identity = `${dev}:${ino}`;
    let offset = current.offset;
    for (;;) {
      const { chunks, next } = await decoder.block(file, offset);
      yield* chunks;
      if (signal.aborted || decoder.past) return;
      if (next > offset) {
        offset = next;
        continue;
      }
      const following = successor(path, identity);
      if (following !== null) {
        const rest = await decoder.block(file, offset);
        yield* rest.chunks;
        place = { file: following, offset: 0 };
        break;
      }
      if (over || isOver) {
        const rest = await decoder.block(file, offset);
        yield* rest.chunks;
        if (rest.next > offset) {
          offset = rest.next;
          continue;
        }
        return;
      }
      await growth?.next();
    }
  }
}

interface Place {
  readonly file: string;
  readonly offset: number;
}

/** Where reading begins: the first file, or where the wanted last lines begin. */
async function startingPlace(path: string, query: LogQuery): Promise<Place | null> {
  const files = logFiles(path);
  const [oldest] = files;
  if (oldest === undefined) return null;
  if (query.tail === undefined) return { file: oldest, offset: 0 };
  let missing = query.tail;
  let place: Place | null = null;
  for (const file of files.reverse()) {
    await using handle = await open(file, "r").catch(() => null);
    if (handle === null) break;
    const found = await offsetOfLastLines(handle, missing, (kind) => query[kind]);
    place = { file, offset: found.offset };
    missing = found.missing;
    if (missing === 0) break;
  }
  return place;
}

/** The file that was begun after the one called `identity`; null while there is none. */
function successor(path: string, identity: string): string | null {
  const files = logFiles(path);
  const index = files.findIndex((file) => fileIdentity(file) === identity);
  // Rotated out of existence: go on with the oldest that is left.
  return files[index + 1] ?? null;
}

/** Turns blocks of a log file into the container's output. */
class RecordDecoder {
  /** The query's `until` has been passed. */
  past = false;
  readonly #lineBegun = { stdout: false, stderr: false };

  constructor(private readonly query: LogQuery) {}

  /** The whole records from `offset` on, up to a block. @returns where the next block begins; `offset` when there is no more */
  async block(file: FileHandle, offset: number): Promise<{ chunks: StreamChunk[]; next: number }> {
    let size = blockBytes;
    for (;;) {
      const bytes = Buffer.allocUnsafe(size);
      const { bytesRead } = await file.read(bytes, 0, size, offset);
      const end = bytes.subarray(0, bytesRead).lastIndexOf(lineFeed) + 1;
      if (end > 0) return { chunks: this.#decode(bytes.subarray(0, end)), next: offset + end };
      if (bytesRead < size) return { chunks: [], next: offset };
      size *= 2; // one record longer than the block
    }
  }

  #decode(bytes: Buffer): StreamChunk[] {
    const chunks: StreamChunk[] = [];
    let kind: StreamChunk["kind"] | null = null;
    let parts: Buffer[] = [];
    const flush = () => {
      if (kind !== null && parts.length > 0) chunks.push({ kind, bytes: Buffer.concat(parts) });
      parts = [];
    };
    for (let start = 0; start < bytes.byteLength && !this.past; ) {
      const end = bytes.indexOf(lineFeed, start);
      const record = parseRecord(bytes, start, end);
      const next = end + 1;
      if (record !== null && this.query[record.kind] && this.#inTime(bytes, start, record.timeEnd)) {
        if (record.kind !== kind) flush();
        kind = record.kind;
        if (this.query.timestamps === true && !this.#lineBegun[kind]) {
          parts.push(Buffer.from(`${dockerTime(bytes.toString("latin1", start, record.timeEnd))} `));
        }
        this.#lineBegun[kind] = !record.full;
        // The record's own line feed is the container's when the record is full.
        parts.push(bytes.subarray(record.textStart, record.full ? next : end));
      }
      start = next;
    }
    flush();
    return chunks;
  }

  #inTime(bytes: Buffer, start: number, end: number): boolean {
    const { sinceNs, untilNs } = this.query;
    if (sinceNs === undefined && untilNs === undefined) return true;
    const time = recordTimeNs(bytes.toString("latin1", start, end));
    if (untilNs !== undefined && time > untilNs) {
      this.past = true;
      return false;
    }
    return sinceNs === undefined || time >= sinceNs;
  }
}

/** Wakes a follower when files of the directory change, the container ends or the reader goes. */
class Growth implements Disposable {
  readonly #watcher;
  readonly #onAbort = () => this.#wake();
  #wake: () => void = () => {};
  #changed = false;

  constructor(
    directory: string,
    ended: Promise<void> | null,
    private readonly signal: AbortSignal,
  ) {
    this.#watcher = watch(directory, () => this.#notify());
    signal.addEventListener("abort", this.#onAbort);
    void ended?.then(
      () => this.#notify(),
      () => this.#notify(),
    );
  }

  #notify(): void {
    this.#changed = true;
    this.#wake();
  }

  async next(): Promise<void> {
    if (this.#changed || this.signal.aborted) {
      this.#changed = false;
      return;
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, pollMs);
    });
    clearTimeout(timer);
    this.#changed = false;
  }

  [Symbol.dispose](): void {
    this.signal.removeEventListener("abort", this.#onAbort);
    this.#watcher.close();
  }
}
