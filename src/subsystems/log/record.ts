import type { StreamChunk } from "#spec/engine-api/frame.ts";

/**
 * One line of a log as conmon writes it: `TIME STREAM TAG TEXT\n`. TAG is `F` where the container wrote a line feed after
 * TEXT, `P` where it did not; so the container's bytes come back exactly. @see conmon's k8s-file driver
 */
export interface LogRecord {
  readonly kind: StreamChunk["kind"];
  /** The text is followed by a line feed. */
  readonly full: boolean;
  readonly timeEnd: number;
  readonly textStart: number;
}

const blank = 0x20;
const letterF = 0x46;
/** "stdout" and "stderr" differ in their fourth letter. */
const letterO = 0x6f;
const streamLength = 6;

/** Takes the line `bytes[start..end)` (without its line feed) apart; null when it is none of conmon's. */
export function parseRecord(bytes: Buffer, start: number, end: number): LogRecord | null {
  const timeEnd = bytes.indexOf(blank, start);
  if (timeEnd < 0 || timeEnd + streamLength + 3 > end) return null;
  const tag = timeEnd + streamLength + 2;
  const kind = bytes[timeEnd + 4] === letterO ? "stdout" : "stderr";
  // A record with an empty text may have lost its last blank.
  return { kind, full: bytes[tag] === letterF, timeEnd, textStart: Math.min(tag + 2, end) };
}

/** The record's time in nanoseconds since 1970; conmon writes local time with its offset. */
export function recordTimeNs(time: string): bigint {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/.exec(time);
  if (match === null) return 0n;
  const [, seconds = "", fraction = "", zone = "Z"] = match;
  return BigInt(Date.parse(`${seconds}${zone}`)) * 1_000_000n + BigInt(fraction.padEnd(9, "0").slice(0, 9));
}

/** The time as Docker prefixes it: UTC, nine digits. */
export function dockerTime(time: string): string {
  if (time.endsWith("+00:00")) return `${time.slice(0, -6)}Z`;
  const ns = recordTimeNs(time);
  const whole = new Date(Number(ns / 1_000_000n)).toISOString().slice(0, 19);
  return `${whole}.${String(ns % 1_000_000_000n).padStart(9, "0")}Z`;
}
