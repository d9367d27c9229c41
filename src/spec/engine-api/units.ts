/** Sizes, durations and times as Docker's flags and parameters write them. */
import { EngineError } from "#base/errors.ts";

const sizeFactors: Record<string, number> = { "": 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40, p: 2 ** 50 };

/** `512m`, `1.5GiB`, `1024`: bytes; factors of 1024. @throws EngineError `invalid` "invalid size: 'x'" */
export function parseByteSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([bkmgtp]?)(?:i?b)?$/i.exec(text.trim());
  const factor = sizeFactors[(match?.[2] ?? "?").toLowerCase()];
  if (match === null || factor === undefined) throw new EngineError("invalid", text, `invalid size: '${text}'`);
  return Math.trunc(Number(match[1]) * factor);
}

const durationUnitsNs: Record<string, bigint> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};

/** A Go duration (`1h30m`, `1.5s`, `0`) in nanoseconds. @throws EngineError `invalid` in Go's words */
export function parseDurationNs(text: string): bigint {
  const fail = () => new EngineError("invalid", text, `time: invalid duration "${text}"`);
  const sign = text.startsWith("-") ? -1n : 1n;
  let rest = text.replace(/^[-+]/, "");
  if (rest === "0") return 0n;
  if (rest === "") throw fail();
  let total = 0n;
  while (rest !== "") {
    const match = /^(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/.exec(rest);
    if (match === null || (match[1] === "" && (match[2] ?? "") === "")) {
      if (/^[\d.]+$/.test(rest)) throw new EngineError("invalid", text, `time: missing unit in duration "${text}"`);
      throw fail();
    }
    const unit = durationUnitsNs[match[3] ?? ""] ?? 0n;
    total += BigInt(match[1] || "0") * unit;
    const fraction = match[2] ?? "";
    if (fraction !== "") total += (BigInt(fraction) * unit) / 10n ** BigInt(fraction.length);
    rest = rest.slice(match[0].length);
  }
  return sign * total;
}

/**
 * A time in nanoseconds since 1970 from what `--since`, `--until` and their API parameters take: seconds with or without
 * a fraction, RFC 3339 in full or in part (local time without a zone), or a Go duration before `now`.
 * @throws EngineError `invalid`
 */
export function parseTimestamp(text: string, now: Date): bigint {
  const seconds = /^(\d+)(?:\.(\d{1,9}))?$/.exec(text);
  if (seconds !== null) return BigInt(seconds[1] ?? "0") * 1_000_000_000n + BigInt((seconds[2] ?? "").padEnd(9, "0"));
  const date = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2})(?::(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?)?(Z|[+-]\d{2}:\d{2})?$/.exec(
    text,
  );
  if (date !== null) {
    const [, day = "", hour = "00", minute = "00", second = "00", fraction = "", zone] = date;
    const spelled = `${day}T${hour}:${minute}:${second}`;
    const wholeMs = zone === undefined ? new Date(spelled).getTime() : Date.parse(`${spelled}${zone}`);
    if (!Number.isNaN(wholeMs)) return BigInt(wholeMs) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
  }
  try {
    return BigInt(now.getTime()) * 1_000_000n - parseDurationNs(text);
  } catch {
    throw new EngineError("invalid", text, `failed to parse value as time or duration: "${text}"`);
  }
}
