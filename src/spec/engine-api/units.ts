/** Sizes and durations as Docker's flags take them. Pure. */
import { EngineError } from "#base/errors.ts";

const powers = "bkmgtp";

/**
 * `512m`, `1.5GiB`, `64 MB`, `1024`: powers of 1024, whole bytes.
 * @throws EngineError `invalid` "invalid size: 'X'"; "invalid suffix: 'x'"
 */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?|\.\d+) ?([a-zA-Z]*)$/.exec(text.trim());
  if (match === null) throw new EngineError("invalid", text, `invalid size: '${text}'`);
  const suffix = (match[2] ?? "").toLowerCase();
  const power = suffix === "" ? 0 : powers.indexOf(suffix[0] ?? "");
  if (power === -1 || !/^(b|[kmgtp](i?b)?)?$/.test(suffix)) {
    throw new EngineError("invalid", text, `invalid suffix: '${suffix}'`);
  }
  const bytes = Math.trunc(Number(match[1]) * 1024 ** power);
  if (!Number.isSafeInteger(bytes)) throw new EngineError("invalid", text, `invalid size: '${text}'`);
  return bytes;
}

const nanoseconds: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Go's durations: `1h30m`, `1.5s`, `-2ms`, `0`. @returns nanoseconds @throws EngineError `invalid` as Go says it */
export function parseDuration(text: string): number {
  const quoted = JSON.stringify(text);
  const wrong = (why: string) => new EngineError("invalid", text, `time: ${why} ${quoted}`);
  const [, sign = "", rest = ""] = /^([+-]?)(.*)$/s.exec(text) ?? [];
  if (rest === "0") return 0;
  if (rest === "") throw wrong("invalid duration");
  let total = 0;
  let position = 0;
  for (const part of rest.matchAll(/(\d+\.?\d*|\.\d+)([^\d.]*)/gy)) {
    const [whole, number = "", unit = ""] = part;
    if (unit === "") throw wrong("missing unit in duration");
    const scale = Object.hasOwn(nanoseconds, unit) ? nanoseconds[unit] : undefined;
    if (scale === undefined) throw wrong(`unknown unit ${JSON.stringify(unit)} in duration`);
    total += Number(number) * scale;
    position += whole.length;
  }
  if (position !== rest.length || total > 2 ** 63) throw wrong("invalid duration");
  return Math.trunc(sign === "-" ? -total : total) + 0;
}
