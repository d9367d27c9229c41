import type { Command, Flag, FlagTable } from "./command.ts";
import { shownPath } from "./parse.ts";

/** `Usage:  skiff ps [OPTIONS]` */
export function usageLine(command: Command<FlagTable>): string {
  const options = Object.keys(command.flags).length > 0 ? " [OPTIONS]" : "";
  return `Usage:  skiff ${shownPath(command)}${options}${command.usage === "" ? "" : ` ${command.usage}`}`;
}

const typeWord = (flag: Flag): string =>
  flag.kind === "bool" ? "" : (flag.type ?? (flag.kind === "list" ? "list" : flag.kind));

/** The help of one command, in Docker's form. */
export function commandHelp(command: Command<FlagTable>, columns: number): string {
  const parts = [usageLine(command), "", command.summary];
  const spellings = [command.path, ...(command.aliases ?? [])];
  if (spellings.length > 1) parts.push("", "Aliases:", `  ${spellings.map((path) => `skiff ${path}`).join(", ")}`);
  const visible = Object.entries(command.flags)
    .filter(([, flag]) => flag.hidden !== true)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  if (visible.length > 0) parts.push("", "Options:", ...flagLines(visible, columns));
  return `${parts.join("\n")}\n`;
}

function flagLines(flags: readonly (readonly [string, Flag])[], columns: number): string[] {
  const left = flags.map(([name, flag]) => {
    const type = typeWord(flag);
    return `  ${flag.short === undefined ? "    " : `-${flag.short}, `}--${name}${type === "" ? "" : ` ${type}`}`;
  });
  const width = Math.max(...left.map((text) => text.length)) + 3;
  return flags.flatMap(([, flag], index) => {
    const text = flag.default === undefined ? flag.help : `${flag.help} (default ${flag.default})`;
    const lines = wrap(text, Math.max(24, Math.min(columns, 80) - width));
    return lines.map((line, row) => `${(row === 0 ? (left[index] ?? "") : "").padEnd(width)}${line}`);
  });
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines;
}

/** A list of commands with their summaries. */
export function commandList(title: string, entries: readonly (readonly [string, string])[]): string {
  const width = Math.max(...entries.map(([name]) => name.length), 8) + 4;
  return `${title}:\n${entries.map(([name, summary]) => `  ${name.padEnd(width - 2)}${summary}`).join("\n")}\n`;
}
