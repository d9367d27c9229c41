/** Lists as Docker prints them: a default table, `table TEMPLATE`, `json`, `raw`, or a template per line. */
import { CliError, type Output } from "../command.ts";
import { renderColumns } from "./columns.ts";
import { Struct } from "./go-value.ts";
import { GoTemplate } from "./template.ts";
import { goJson } from "./template-functions.ts";
import { TemplateError } from "./template-parse.ts";

export interface ListFormat<T> {
  /** How Docker's CLI calls the rows' type in errors. */
  readonly type: string;
  /** Every field that a template may ask for. */
  readonly fields: (item: T) => Readonly<Record<string, unknown>>;
  /** Headings of fields that are not just the name in capitals. */
  readonly headers: Readonly<Record<string, string>>;
  /** The default table, as a template without `table `. */
  readonly table: string;
  /** The only field that `-q` shows, as a template. */
  readonly quiet: string;
}

/** Blanks and escapes that people type in shells. */
function decodeEscapes(text: string): string {
  return text.replaceAll("\\t", "\t").replaceAll("\\n", "\n");
}

const headerOf = (headers: Readonly<Record<string, string>>, name: string): string =>
  headers[name] ?? name.replace(/([a-z])([A-Z])/g, "$1 $2").toUpperCase();

/** @param format what `--format` said; undefined for the default table @throws TemplateError */
export async function printList<T>(
  out: Output,
  items: readonly T[],
  format: ListFormat<T>,
  options: { format?: string; quiet?: boolean },
): Promise<void> {
  const asked = options.format === undefined || options.format === "" ? "table" : options.format;
  if (options.quiet === true && (asked === "table" || asked === "raw")) {
    await printLines(out, items, format, format.quiet);
  } else if (asked === "json") {
    for (const item of items) out.line(goJson(withoutMethods(format.fields(item))));
  } else if (asked === "table" || asked.startsWith("table ")) {
    const source = asked === "table" ? format.table : decodeEscapes(asked.slice("table ".length));
    await printTable(out, items, format, source);
  } else await printLines(out, items, format, decodeEscapes(asked));
}

function withoutMethods(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => typeof value !== "function"));
}

async function printLines<T>(out: Output, items: readonly T[], format: ListFormat<T>, source: string): Promise<void> {
  const template = new GoTemplate(source);
  for (const item of items) out.line(rendered(template, new Struct(format.type, format.fields(item))));
}

/** A value by a template. @throws CliError in the words of Docker's lists */
function rendered(template: GoTemplate, value: Struct): string {
  try {
    return template.render(value);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    throw new CliError(`failed to execute template: ${error.message}`, 1);
  }
}

async function printTable<T>(out: Output, items: readonly T[], format: ListFormat<T>, source: string): Promise<void> {
  const template = new GoTemplate(source);
  const names = [...source.matchAll(/\.([A-Z]\w*)/g)].map((match) => match[1] ?? "");
  const headers = Object.fromEntries(names.map((name) => [name, headerOf(format.headers, name)]));
  const label = (key: unknown) =>
    String(key)
      .split(/[.\-_/]/)
      .at(-1) ?? "";
  const head = template.render(
    new Struct(format.type, { ...headers, ...("Label" in headers && { Label: (key: unknown) => label(key) }) }),
  );
  const rows = items.map((item) => rendered(template, new Struct(format.type, format.fields(item))));
  await out.write(renderColumns([head, ...rows].map((line) => line.split("\t"))));
}
