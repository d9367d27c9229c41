import { encodeRawText } from "#base/raw-text.ts";
import { blockSize, type TarEntry, type TarEntryType, xattrPrefix } from "./tar.ts";

const typeFlags: Record<TarEntryType, string> = {
  file: "0",
  hardlink: "1",
  symlink: "2",
  char: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};
const utf8 = new TextEncoder();
/** The largest number that eleven octal digits hold. */
const octal11Max = 0o77777777777;
const octal7Max = 0o7777777;

function octal(block: Uint8Array, offset: number, width: number, value: number): void {
  block.set(utf8.encode(value.toString(8).padStart(width - 1, "0")), offset);
}

function header(
  entry: TarEntry,
  type: string,
  name: Uint8Array,
  linkName: Uint8Array,
  size: number,
  mtime: number,
): Uint8Array {
  const block = new Uint8Array(blockSize);
  block.set(name.subarray(0, 100), 0);
  octal(block, 100, 8, entry.mode);
  octal(block, 108, 8, Math.min(entry.uid, octal7Max));
  octal(block, 116, 8, Math.min(entry.gid, octal7Max));
  octal(block, 124, 12, Math.min(size, octal11Max));
  octal(block, 136, 12, Math.min(Math.max(mtime, 0), octal11Max));
  block.set(utf8.encode(type), 156);
  block.set(linkName.subarray(0, 100), 157);
  block.set(utf8.encode("ustar\x0000"), 257);
  octal(block, 329, 8, entry.devMajor);
  octal(block, 337, 8, entry.devMinor);
  block.fill(32, 148, 156);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.set(utf8.encode(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  return block;
}

function paxRecord(key: string, value: Uint8Array): Uint8Array {
  const rest = utf8.encode(` ${key}=`);
  const withoutLength = rest.byteLength + value.byteLength + 1;
  let length = withoutLength + String(withoutLength).length;
  if (String(length).length !== String(withoutLength).length) length = withoutLength + String(length).length;
  const record = new Uint8Array(length);
  const digits = utf8.encode(String(length));
  record.set(digits, 0);
  record.set(rest, digits.byteLength);
  record.set(value, digits.byteLength + rest.byteLength);
  record[length - 1] = 10;
  return record;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

/** Zeros that fill `size` bytes up to whole blocks. */
export function padding(size: number): Uint8Array {
  return new Uint8Array((blockSize - (size % blockSize)) % blockSize);
}

/** Nanoseconds as decimal seconds. */
function paxTime(timeNs: bigint): string {
  const size = timeNs < 0n ? -timeNs : timeNs;
  const fraction = String(size % 1_000_000_000n)
    .padStart(9, "0")
    .replace(/0+$/, "");
  return `${timeNs < 0n ? "-" : ""}${size / 1_000_000_000n}${fraction === "" ? "" : `.${fraction}`}`;
}

/** The header blocks of an entry: ustar, with a pax header before it where a field does not fit. Deterministic. */
export function encodeTarHeader(entry: TarEntry): Uint8Array {
  const name = encodeRawText(entry.type === "directory" && !entry.name.endsWith("/") ? `${entry.name}/` : entry.name);
  const linkName = encodeRawText(entry.linkName);
  const seconds = Number(entry.mtimeNs / 1_000_000_000n);
  const records: Uint8Array[] = [];
  const add = (key: string, value: string | Uint8Array) =>
    records.push(paxRecord(key, typeof value === "string" ? utf8.encode(value) : value));
  if (name.byteLength > 100) add("path", name);
  if (linkName.byteLength > 100) add("linkpath", linkName);
  if (entry.sizeBytes > octal11Max) add("size", String(entry.sizeBytes));
  if (entry.uid > octal7Max) add("uid", String(entry.uid));
  if (entry.gid > octal7Max) add("gid", String(entry.gid));
  if (entry.mtimeNs < 0n || entry.mtimeNs % 1_000_000_000n !== 0n || seconds > octal11Max)
    add("mtime", paxTime(entry.mtimeNs));
  for (const key of [...entry.xattrs.keys()].sort())
    add(`${xattrPrefix}${key}`, entry.xattrs.get(key) ?? new Uint8Array(0));
  const own = header(entry, typeFlags[entry.type], name, linkName, entry.sizeBytes, seconds);
  if (records.length === 0) return own;
  const body = concat(records);
  const paxHeader = header(
    { ...entry, mode: 0o644, uid: 0, gid: 0, devMajor: 0, devMinor: 0 },
    "x",
    utf8.encode("PaxHeaders/entry"),
    new Uint8Array(0),
    body.byteLength,
    0,
  );
  return concat([paxHeader, body, padding(body.byteLength), own]);
}

/** Two zero blocks. */
export const tarEnd = new Uint8Array(2 * blockSize);

/** A whole archive. A body must have `sizeBytes` bytes. @throws Error when it has not */
export async function* writeTar(
  items:
    | AsyncIterable<{ entry: TarEntry; body?: AsyncIterable<Uint8Array> | Iterable<Uint8Array> }>
    | Iterable<{ entry: TarEntry; body?: AsyncIterable<Uint8Array> | Iterable<Uint8Array> }>,
): AsyncGenerator<Uint8Array> {
  for await (const { entry, body } of items) {
    yield encodeTarHeader(entry);
    let written = 0;
    for await (const chunk of body ?? []) {
      written += chunk.byteLength;
      if (written <= entry.sizeBytes) yield chunk;
    }
    if (written !== entry.sizeBytes)
      throw new Error(`tar entry ${entry.name}: ${written} bytes came for ${entry.sizeBytes}`);
    const rest = padding(written);
    if (rest.byteLength > 0) yield rest;
  }
  yield tarEnd;
}
