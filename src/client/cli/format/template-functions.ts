import { goPrintf, goText, isMap, isTrue, Struct, typeName } from "./go-value.ts";

type TemplateFunction = (...args: unknown[]) => unknown;

function compare(a: unknown, b: unknown): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  const [x, y] = [goText(a), goText(b)];
  if (typeof a !== typeof b) throw new Error("incompatible types for comparison");
  return x < y ? -1 : x > y ? 1 : 0;
}

function equal(a: unknown, ...others: unknown[]): boolean {
  if (others.length === 0) throw new Error("missing argument for comparison");
  return others.some((other) => {
    if (a === null || a === undefined || other === null || other === undefined) return (a ?? null) === (other ?? null);
    if (typeof a !== typeof other) throw new Error("incompatible types for comparison");
    return a === other;
  });
}

function index(target: unknown, ...keys: unknown[]): unknown {
  return keys.reduce<unknown>((value, key) => {
    if (value === null || value === undefined) throw new Error("index of untyped nil");
    if (Array.isArray(value) || typeof value === "string") {
      const position = Number(key);
      if (!Number.isInteger(position) || position < 0 || position >= value.length)
        throw new Error(`index out of range: ${goText(key)}`);
      return typeof value === "string" ? value.charCodeAt(position) : value[position];
    }
    if (isMap(value)) return Object.hasOwn(value, String(key)) ? value[String(key)] : "";
    throw new Error(`can't index item of type ${typeName(value)}`);
  }, target);
}

function lengthOf(value: unknown): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  if (isMap(value)) return Object.keys(value).length;
  throw new Error(`error calling len: len of type ${typeName(value)}`);
}

function slice(value: unknown, from: unknown = 0, to?: unknown): unknown {
  if (typeof value !== "string" && !Array.isArray(value))
    throw new Error(`can't slice item of type ${typeName(value)}`);
  const end = to === undefined ? value.length : Number(to);
  if (Number(from) > end || end > value.length) throw new Error(`index out of range: ${end}`);
  return value.slice(Number(from), end);
}

/** JSON as Go's encoder writes it for Docker: keys as they are, no escaping of <, >, &. */
export function goJson(value: unknown): string {
  return JSON.stringify(value instanceof Struct ? value.fields : (value ?? null), (_, entry: unknown) =>
    entry instanceof Struct ? entry.fields : entry,
  );
}

function concat(values: readonly unknown[]): string {
  return values
    .map((value, position) => {
      const before = values[position - 1];
      // Go's Print puts a blank between two values when neither is a string.
      const blank = position > 0 && typeof value !== "string" && typeof before !== "string" ? " " : "";
      return blank + goText(value);
    })
    .join("");
}

const text = (value: unknown): string => {
  if (typeof value === "string") return value;
  throw new Error(`wrong type for value; expected string; got ${typeName(value)}`);
};

/** Go's own functions and those that Docker adds. */
export const templateFunctions: Readonly<Record<string, TemplateFunction>> = {
  eq: equal,
  ne: (a, b) => !equal(a, b),
  lt: (a, b) => compare(a, b) < 0,
  le: (a, b) => compare(a, b) <= 0,
  gt: (a, b) => compare(a, b) > 0,
  ge: (a, b) => compare(a, b) >= 0,
  not: (value) => !isTrue(value),
  index,
  slice,
  len: lengthOf,
  print: (...values) => concat(values),
  println: (...values) => `${values.map(goText).join(" ")}\n`,
  printf: (format, ...values) => goPrintf(text(format), values),
  html: (value) => goText(value).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`),
  js: (value) => JSON.stringify(goText(value)).slice(1, -1),
  urlquery: (value) => encodeURIComponent(goText(value)).replaceAll("%20", "+"),
  json: goJson,
  split: (value, separator) => text(value).split(text(separator)),
  join: (list, separator) => (Array.isArray(list) ? list.map(goText) : [text(list)]).join(text(separator)),
  title: (value) =>
    text(value).replace(/(^|\s)(\S)/g, (_, blank: string, letter: string) => blank + letter.toUpperCase()),
  lower: (value) => text(value).toLowerCase(),
  upper: (value) => text(value).toUpperCase(),
  pad: (value, before, after) =>
    text(value) === "" ? "" : " ".repeat(Number(before)) + text(value) + " ".repeat(Number(after)),
  truncate: (value, length) => [...text(value)].slice(0, Number(length)).join(""),
};
