/**
 * Names of files are bytes and mostly UTF-8. Here any bytes become a string and the same bytes again: a byte that is no
 * part of valid UTF-8 stands as the lone surrogate U+DC80 to U+DCFF, which valid text never holds. @see PEP 383
 */

// A byte order mark is part of a name.
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const escaped = /[\udc80-\udcff]/u;

/** Bytes as text, losing nothing. */
export function decodeRawText(bytes: Uint8Array): string {
  const whole = decodeStrict(bytes);
  if (whole !== null) return whole;
  let text = "";
  for (let offset = 0; offset < bytes.byteLength; ) {
    const length = sequenceLength(bytes[offset] ?? 0);
    const valid = decodeStrict(bytes.subarray(offset, offset + length));
    text += valid ?? String.fromCharCode(0xdc00 + (bytes[offset] ?? 0));
    offset += valid === null ? 1 : length;
  }
  return text;
}

/** The bytes that `decodeRawText` had. */
export function encodeRawText(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text);
  const parts: Buffer[] = [];
  for (const character of text)
    parts.push(escaped.test(character) ? Buffer.from([character.charCodeAt(0) - 0xdc00]) : Buffer.from(character));
  return Buffer.concat(parts);
}

function decodeStrict(bytes: Uint8Array): string | null {
  try {
    return strict.decode(bytes);
  } catch {
    return null;
  }
}

/** Bytes of the UTF-8 sequence that begins so; 1 for what begins none. */
function sequenceLength(first: number): number {
  if (first >= 0xf0) return 4;
  if (first >= 0xe0) return 3;
  return first >= 0xc0 ? 2 : 1;
}
