import { EngineError } from "#base/errors.ts";
import type { Filters } from "#spec/engine-api/event.ts";
import { parseTimestamp } from "#spec/engine-api/units.ts";

/** Docker's reading of a boolean parameter: absent, empty, 0, no, false and none are false. */
export function flag(query: URLSearchParams, name: string): boolean {
  return !["", "0", "no", "false", "none"].includes((query.get(name) ?? "").toLowerCase().trim());
}

/** A whole number, undefined when absent. @throws EngineError `invalid` */
export function number(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === "") return undefined;
  if (!/^-?\d+$/.test(text)) throw new EngineError("invalid", name, `strconv.Atoi: parsing "${text}": invalid syntax`);
  return Number(text);
}

/** `filters`: `{"label":["a=b"]}` or the older `{"label":{"a=b":true}}`. @throws EngineError `invalid` */
export function filters(query: URLSearchParams): Filters {
  const text = query.get("filters");
  if (text === null || text === "") return {};
  const fail = (why: string) => new EngineError("invalid", "filters", `invalid filter: ${why}`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw fail(error instanceof Error ? error.message : "not JSON");
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw fail("not an object");
  return Object.fromEntries(
    Object.entries(json).map(([key, values]: [string, unknown]) => {
      if (Array.isArray(values) && values.every((value) => typeof value === "string")) return [key, values as string[]];
      if (typeof values === "object" && values !== null && !Array.isArray(values)) {
        return [key, Object.entries(values).flatMap(([value, on]) => (on === true ? [value] : []))];
      }
      throw fail(`values of "${key}" are neither a list nor a set of strings`);
    }),
  );
}

/** A time in nanoseconds since 1970; undefined when absent or 0. @throws EngineError `invalid` */
export function timeNs(query: URLSearchParams, name: string): bigint | undefined {
  const text = query.get(name);
  if (text === null || text === "" || text === "0") return undefined;
  return parseTimestamp(text, new Date());
}

/** A time in seconds since 1970. */
export function timeSeconds(query: URLSearchParams, name: string): number | undefined {
  const ns = timeNs(query, name);
  return ns === undefined ? undefined : Number(ns) / 1e9;
}
