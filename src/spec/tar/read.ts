import { EngineError } from "#base/errors.ts";
import { decodeRawText } from "#base/raw-text.ts";
import { ByteReader } from "./byte-reader.ts";
import { blockSize, type TarEntry, type TarEntryType, xattrPrefix } from "./tar.ts";

/** A pax or GNU header larger than this is an attack, not a name. */
const extensionBytesMax = 1 << 20;

const types: Record<string, TarEntryType> = {
  "0": "file",
  "\0": "file",
  "7": "file",
  "1": "hardlink",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "directory",
  "6": "fifo",
};

/** One entry with its bytes. The body may be left unread; it is skipped then. */
export interface TarItem {
  readonly entry: TarEntry;
  readonly body: AsyncIterable<Uint8Array>;
}

/** What pax and GNU headers said about the entry to come. */
interface Extensions {
  readonly pax: Map<string, Uint8Array>;
  longName: string | null;
  longLink: string | null;
}

const latin = new TextDecoder("latin1");

/**
 * Reads an archive as it arrives, in bounded memory. After the last entry the stream is read to its end, so that
 * whoever hashes it sees every byte.
 * @throws EngineError `invalid`: "unexpected EOF", a bad checksum or number, an unknown entry type, GNU sparse files
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarItem> {
  const reader = new ByteReader(source);
  const global = new Map<string, Uint8Array>();
  let globalBytes = 0;
  let extensionBytes = 0;
  let extensions: Extensions = { pax: new Map(), longName: null, longLink: null };
  try {
    for (;;) {
      const header = reader.takeNow(blockSize) ?? (await reader.take(blockSize));
      if (header === null) return;
      if (isZero(header)) break;
      const raw = parseHeader(header);
      const padding = (blockSize - (raw.size % blockSize)) % blockSize;
      if (raw.type === "x" || raw.type === "g" || raw.type === "L" || raw.type === "K") {
        // A run of headers counts as one, and so do all global ones: neither may fill the memory piece by piece.
        if (raw.type === "g") globalBytes += raw.size;
        else extensionBytes += raw.size;
        const bytes = await takeExtension(reader, raw.size, raw.type === "g" ? globalBytes : extensionBytes);
        await reader.skip(padding);
        if (raw.type === "g") for (const [key, value] of parsePax(bytes)) global.set(key, value);
        else if (raw.type === "x") for (const [key, value] of parsePax(bytes)) extensions.pax.set(key, value);
        else if (raw.type === "L") extensions.longName = cText(bytes);
        else extensions.longLink = cText(bytes);
        continue;
      }
      const entry = completeEntry(raw, global, extensions);
      extensions = { pax: new Map(), longName: null, longLink: null };
      extensionBytes = 0;
      // Only regular files have bodies; some old writers give sizes to other types.
      const body = new Body(reader, entry.sizeBytes);
      yield { entry, body };
      await body.finish();
    }
    await reader.drain();
  } finally {
    await reader.close();
  }
}

class Body implements AsyncIterable<Uint8Array> {
  #left: number;
  readonly #padding: number;

  constructor(
    private readonly reader: ByteReader,
    sizeBytes: number,
  ) {
    this.#left = sizeBytes;
    this.#padding = (blockSize - (sizeBytes % blockSize)) % blockSize;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    while (this.#left > 0) {
      const piece = await this.reader.some(this.#left);
      this.#left -= piece.byteLength;
      yield piece;
    }
  }

  async finish(): Promise<void> {
    const rest = this.#left + this.#padding;
    this.#left = 0;
    if (rest > 0 && this.reader.takeNow(rest) === null) await this.reader.skip(rest);
  }
}

interface RawHeader {
  readonly name: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  readonly type: string;
  readonly linkName: string;
  readonly devMajor: number;
  readonly devMinor: number;
}

function isZero(block: Uint8Array): boolean {
  for (const byte of block) if (byte !== 0) return false;
  return true;
}

function cText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decodeRawText(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Octal digits, or base-256 when the first bit is set. */
function parseNumber(field: Uint8Array, what: string): number {
  const first = field[0] ?? 0;
  if ((first & 0x80) !== 0) {
    let value = (first & 0x40) !== 0 ? -1n : 0n;
    value = (value << 6n) | BigInt(first & 0x3f);
    for (const byte of field.subarray(1)) value = (value << 8n) | BigInt(byte);
    const number = Number(value);
    if (!Number.isSafeInteger(number)) throw invalid(`${what} out of range`);
    return number;
  }
  // Blanks and NULs may stand before and after; what follows an end is somebody's left-over.
  const digits = latin
    .decode(field)
    .replace(/^[\0 ]+/, "")
    .replace(/[\0 ].*$/s, "");
  if (digits === "") return 0;
  if (!/^[0-7]+$/.test(digits)) throw invalid(`invalid ${what} in header`);
  return Number.parseInt(digits, 8);
}

function invalid(message: string): EngineError {
  return new EngineError("invalid", "tar", `archive/tar: ${message}`);
}

function parseHeader(block: Uint8Array): RawHeader {
  let unsignedSum = 0;
  let signedSum = 0;
  for (let index = 0; index < blockSize; index++) {
    const byte = index >= 148 && index < 156 ? 32 : (block[index] ?? 0);
    unsignedSum += byte;
    signedSum += byte > 127 ? byte - 256 : byte;
  }
  const wanted = parseNumber(block.subarray(148, 156), "checksum");
  if (wanted !== unsignedSum && wanted !== signedSum) throw invalid("invalid tar header");
  const magic = latin.decode(block.subarray(257, 265));
  const prefix = magic.startsWith("ustar\0") ? cText(block.subarray(345, 500)) : "";
  const name = cText(block.subarray(0, 100));
  const hasDevices = magic.startsWith("ustar");
  const size = parseNumber(block.subarray(124, 136), "size");
  if (size < 0) throw invalid("negative size in header");
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    mode: parseNumber(block.subarray(100, 108), "mode"),
    uid: parseNumber(block.subarray(108, 116), "uid"),
    gid: parseNumber(block.subarray(116, 124), "gid"),
    size,
    mtime: parseNumber(block.subarray(136, 148), "mtime"),
    type: String.fromCharCode(block[156] ?? 0),
    linkName: cText(block.subarray(157, 257)),
    devMajor: hasDevices ? parseNumber(block.subarray(329, 337), "devmajor") : 0,
    devMinor: hasDevices ? parseNumber(block.subarray(337, 345), "devminor") : 0,
  };
}

async function takeExtension(reader: ByteReader, size: number, sum: number): Promise<Uint8Array> {
  if (sum > extensionBytesMax) throw invalid(`extended headers of ${sum} bytes are larger than ${extensionBytesMax}`);
  const bytes = size === 0 ? new Uint8Array(0) : await reader.take(size);
  if (bytes === null) throw new EngineError("invalid", "tar", "unexpected EOF");
  return Uint8Array.from(bytes);
}

/** Records of the form "length key=value\n"; values may hold any byte. */
function parsePax(bytes: Uint8Array): [string, Uint8Array][] {
  const records: [string, Uint8Array][] = [];
  for (let offset = 0; offset < bytes.byteLength; ) {
    const blank = bytes.indexOf(32, offset);
    const lengthText = blank < 0 ? "" : latin.decode(bytes.subarray(offset, blank));
    const length = /^\d{1,9}$/.test(lengthText) ? Number(lengthText) : 0;
    const end = offset + length;
    if (length < 5 || end > bytes.byteLength || bytes[end - 1] !== 10) throw invalid("invalid pax record");
    const equals = bytes.indexOf(61, blank);
    if (equals < 0 || equals >= end) throw invalid("invalid pax record");
    records.push([decodeRawText(bytes.subarray(blank + 1, equals)), bytes.subarray(equals + 1, end - 1)]);
    offset = end;
  }
  return records;
}

/** "1350244992.023960108" as nanoseconds. */
function parsePaxTime(value: string): bigint {
  const match = /^(-?)(\d+)(?:\.(\d*))?$/.exec(value);
  if (match === null) throw invalid(`invalid pax time "${value}"`);
  const [, sign, seconds = "0", fraction = ""] = match;
  const ns = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, "0"));
  return sign === "-" ? -ns : ns;
}

function paxNumber(value: string, what: string): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(number)) throw invalid(`invalid pax ${what} "${value}"`);
  return number;
}

function completeEntry(raw: RawHeader, global: ReadonlyMap<string, Uint8Array>, extensions: Extensions): TarEntry {
  const lookUp = (key: string): string | undefined => {
    const bytes = extensions.pax.get(key) ?? global.get(key);
    return bytes === undefined || bytes.byteLength === 0 ? undefined : decodeRawText(bytes);
  };
  const number = (key: string, otherwise: number) => {
    const value = lookUp(key);
    return value === undefined ? otherwise : paxNumber(value, key);
  };
  if (raw.type === "S" || lookUp("GNU.sparse.major") !== undefined || lookUp("GNU.sparse.map") !== undefined) {
    throw new EngineError("unsupported", "tar", `archive/tar: sparse file "${raw.name}" is not supported`);
  }
  const name = lookUp("path") ?? extensions.longName ?? raw.name;
  const type = types[raw.type];
  if (type === undefined) throw invalid(`unhandled tar header type ${JSON.stringify(raw.type)} of "${name}"`);
  const mtime = lookUp("mtime");
  const xattrs = new Map<string, Uint8Array>();
  for (const [key, value] of extensions.pax)
    if (key.startsWith(xattrPrefix)) xattrs.set(key.slice(xattrPrefix.length), value);
  // An old writer marks directories by a slash only.
  const isDirectory = type === "directory" || (type === "file" && name.endsWith("/"));
  return {
    name,
    type: isDirectory ? "directory" : type,
    linkName: lookUp("linkpath") ?? extensions.longLink ?? raw.linkName,
    mode: raw.mode & 0o7777,
    uid: number("uid", raw.uid),
    gid: number("gid", raw.gid),
    sizeBytes: type === "file" && !isDirectory ? number("size", raw.size) : 0,
    mtimeNs: mtime === undefined ? BigInt(raw.mtime) * 1_000_000_000n : parsePaxTime(mtime),
    devMajor: raw.devMajor,
    devMinor: raw.devMinor,
    xattrs,
  };
}
