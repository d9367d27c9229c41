/**
 * Shapes of JSON bodies at the border: `unknown` in, typed out. As Go's decoder does it for Docker, unknown fields are
 * passed over, `null` leaves a field out, and a wrong type is an error that names the field.
 */
import { EngineError } from "#base/errors.ts";

/** Reads a value found at `path`; undefined when it is absent. */
export type Shape<T> = (value: unknown, path: string) => T;

function wrongType(value: unknown, path: string, wanted: string): EngineError {
  const found = Array.isArray(value)
    ? "array"
    : value === null
      ? "null"
      : typeof value === "boolean"
        ? "bool"
        : typeof value;
  const [struct = "", ...field] = path.split(".");
  const where = field.length === 0 ? "" : `struct field ${struct}.${field.join(".")} of type `;
  return new EngineError("invalid", path, `invalid JSON: json: cannot unmarshal ${found} into Go ${where}${wanted}`);
}

export const text: Shape<string> = (value, path) => {
  if (typeof value === "string") return value;
  throw wrongType(value, path, "string");
};

export const bool: Shape<boolean> = (value, path) => {
  if (typeof value === "boolean") return value;
  throw wrongType(value, path, "bool");
};

export const integer: Shape<number> = (value, path) => {
  if (typeof value === "number" && Number.isInteger(value) && Math.abs(value) <= 2 ** 63) return value;
  throw wrongType(value, path, "int64");
};

/** Whatever it is; for objects that are only passed on. */
export const anything: Shape<object> = (value, path) => {
  if (typeof value === "object" && value !== null) return value;
  throw wrongType(value, path, "object");
};

export function list<T>(item: Shape<T>): Shape<T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw wrongType(value, path, "[]");
    return value.map((entry) => item(entry, path));
  };
}

/** A list of words, or one word that stands for a list of one (Docker takes both for Cmd and Entrypoint). */
export const words: Shape<string[]> = (value, path) => (typeof value === "string" ? [value] : list(text)(value, path));

export function map<T>(item: Shape<T>): Shape<Record<string, T>> {
  return (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw wrongType(value, path, "map[string]");
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, item(entry, path)]));
  };
}

export function nullable<T>(item: Shape<T>): Shape<T | null> {
  return (value, path) => (value === null ? null : item(value, path));
}

/** An object's known fields; the absent and the null ones are left out. */
export function object<T extends Record<string, Shape<unknown>>>(
  fields: T,
): Shape<{ [K in keyof T]?: ReturnType<T[K]> }> {
  // Go matches names whatever their case.
  const byLowerName = new Map(Object.keys(fields).map((name) => [name.toLowerCase(), name]));
  return (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrongType(value, path, "object");
    const found: Record<string, unknown> = {};
    for (const [key, entry] of Object.entries(value)) {
      const name = key in fields ? key : byLowerName.get(key.toLowerCase());
      const shape = name === undefined ? undefined : fields[name];
      if (name !== undefined && shape !== undefined && entry !== null) found[name] = shape(entry, `${path}.${name}`);
    }
    return found as { [K in keyof T]?: ReturnType<T[K]> };
  };
}
