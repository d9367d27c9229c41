/** Values as Go prints, compares and judges them. */

/** A table row or other thing with a fixed set of fields: asking for another is an error that names the type. */
export class Struct {
  constructor(
    readonly type: string,
    /** A function is a method: called with the words that follow it. */
    readonly fields: Readonly<Record<string, unknown>>,
  ) {}
}

export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Struct);
}

/** Go's idea of true: not zero, not empty, not nil. */
export function isTrue(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === 0 || value === "") return false;
  if (Array.isArray(value)) return value.length > 0;
  return isMap(value) ? Object.keys(value).length > 0 : true;
}

/** As `{{.}}` prints it. */
export function goText(value: unknown): string {
  if (value === undefined) return "<no value>";
  if (value === null) return "<nil>";
  if (typeof value === "number") return numberText(value);
  if (Array.isArray(value)) return `[${value.map(goText).join(" ")}]`;
  if (value instanceof Struct) return `{${Object.values(value.fields).map(goText).join(" ")}}`;
  if (isMap(value)) {
    return `map[${sortedKeys(value)
      .map((key) => `${key}:${goText(value[key])}`)
      .join(" ")}]`;
  }
  return String(value);
}

function numberText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e21) return String(value);
  return value.toString().replace(/e([+-])(\d)$/, "e$10$2");
}

export function sortedKeys(map: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(map).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

/** fmt.Sprintf for the verbs that templates use. */
export function goPrintf(format: string, args: readonly unknown[]): string {
  let next = 0;
  const text = format.replace(
    /%([-+# 0]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])/g,
    (_, flags: string, width: string | undefined, precision: string | undefined, verb: string) => {
      if (verb === "%") return "%";
      if (next >= args.length) return `%!${verb}(MISSING)`;
      const shown = formatVerb(verb, args[next++], precision === undefined ? null : Number(precision), flags);
      const size = Number(width ?? 0);
      if (flags.includes("-")) return shown.padEnd(size);
      return shown.padStart(size, flags.includes("0") && verb !== "s" ? "0" : " ");
    },
  );
  const extra = args.slice(next).map((value) => `${typeName(value)}=${goText(value)}`);
  return extra.length === 0 ? text : `${text}%!(EXTRA ${extra.join(", ")})`;
}

function formatVerb(verb: string, value: unknown, precision: number | null, flags: string): string {
  switch (verb) {
    case "d":
      return typeof value === "number"
        ? `${flags.includes("+") && value >= 0 ? "+" : ""}${Math.trunc(value)}`
        : `%!d(${typeName(value)}=${goText(value)})`;
    case "q":
      return JSON.stringify(goText(value));
    case "x":
    case "X": {
      const hex = typeof value === "number" ? value.toString(16) : Buffer.from(goText(value)).toString("hex");
      return verb === "X" ? hex.toUpperCase() : hex;
    }
    case "f":
      return typeof value === "number" ? value.toFixed(precision ?? 6) : `%!f(${typeName(value)}=${goText(value)})`;
    case "t":
      return typeof value === "boolean" ? String(value) : `%!t(${typeName(value)}=${goText(value)})`;
    case "T":
      return typeName(value);
    case "c":
      return typeof value === "number" ? String.fromCodePoint(value) : goText(value);
    default: {
      const text = goText(value);
      return precision === null ? text : [...text].slice(0, precision).join("");
    }
  }
}

export function typeName(value: unknown): string {
  if (value === null || value === undefined) return "<nil>";
  if (value instanceof Struct) return value.type;
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "float64";
  return Array.isArray(value) ? "[]interface {}" : "map[string]interface {}";
}
