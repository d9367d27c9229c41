import { CliError } from "../command.ts";

/** `--filter key=value` words as the API's `filters` parameter; undefined when there are none. @throws CliError */
export function filterQuery(words: readonly string[]): string | undefined {
  if (words.length === 0) return undefined;
  const filters: Record<string, Record<string, boolean>> = {};
  for (const word of words) {
    const equals = word.indexOf("=");
    if (equals < 0)
      throw new CliError(
        `invalid argument "${word}" for "-f, --filter" flag: bad format of filter (expected name=value)`,
        125,
        "usage",
      );
    const key = word.slice(0, equals).trim().toLowerCase();
    filters[key] = { ...filters[key], [word.slice(equals + 1).trim()]: true };
  }
  return JSON.stringify(filters);
}

/** The flag itself. */
export const filterFlag = {
  kind: "list",
  short: "f",
  type: "filter",
  help: "Filter output based on conditions provided",
} as const;

export const formatFlag = {
  kind: "string",
  help: "Format output using a custom template: 'table': Print output in table format with column headers (default) 'table TEMPLATE': Print output in table format using the given Go template 'json': Print in JSON format 'TEMPLATE': Print output using the given Go template.",
} as const;
