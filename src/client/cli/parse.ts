/**
 * Reads arguments as Docker's CLI does: `--flag value`, `--flag=value`, `-f value`, `-fvalue`, joined short switches
 * (`-it`), `--switch=false`, `--` ends flags. @see the POSIX utility conventions with GNU long options
 */
import { CliError, type Command, type Flag, type FlagTable, type FlagValues } from "./command.ts";

/** Docker's exit code for a flag that is wrong. */
const flagErrorCode = 125;

export interface Parsed<T extends FlagTable> {
  readonly flags: FlagValues<T>;
  readonly given: ReadonlySet<string>;
  readonly args: readonly string[];
}

/** @throws CliError in Docker's words */
export function parseArguments<T extends FlagTable>(command: Command<T>, argv: readonly string[]): Parsed<T> {
  const reader = new FlagReader(command.flags);
  const args: string[] = [];
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] ?? "";
    if (word === "--") {
      args.push(...argv.slice(index + 1));
      break;
    }
    if (word.startsWith("--")) index += reader.long(word, argv[index + 1]);
    else if (word.startsWith("-") && word.length > 1) index += reader.short(word, argv[index + 1]);
    else if (command.stopsAtFirstArgument === true) {
      args.push(...argv.slice(index));
      break;
    } else args.push(word);
  }
  if (!reader.given.has("help")) checkCount(command, args.length);
  return { flags: reader.values() as FlagValues<T>, given: reader.given, args };
}

class FlagReader {
  readonly given = new Set<string>();
  readonly #texts = new Map<string, string[]>();
  readonly #byShort = new Map<string, string>();

  constructor(private readonly table: FlagTable) {
    for (const [name, { short }] of Object.entries(table)) if (short !== undefined) this.#byShort.set(short, name);
  }

  /** @returns how many further words it took */
  long(word: string, following: string | undefined): number {
    const equals = word.indexOf("=");
    const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
    if (name === "help" && !("help" in this.table)) {
      this.given.add("help");
      return 0;
    }
    const flag = this.table[name];
    if (flag === undefined) throw flagError(`unknown flag: --${name}`);
    if (equals >= 0) {
      this.#set(name, flag, word.slice(equals + 1));
      return 0;
    }
    if (flag.kind === "bool") {
      this.#set(name, flag, "true");
      return 0;
    }
    if (following === undefined) throw flagError(`flag needs an argument: --${name}`);
    this.#set(name, flag, following);
    return 1;
  }

  short(word: string, following: string | undefined): number {
    for (let index = 1; index < word.length; index++) {
      const letter = word[index] ?? "";
      const name = this.#byShort.get(letter);
      const flag = name === undefined ? undefined : this.table[name];
      if (name === undefined || flag === undefined) {
        if (letter === "h") {
          this.given.add("help");
          return 0;
        }
        throw flagError(`unknown shorthand flag: '${letter}' in ${word}`);
      }
      const rest = word.slice(index + 1);
      if (flag.kind === "bool" && !rest.startsWith("=")) {
        this.#set(name, flag, "true");
        continue;
      }
      if (rest !== "") {
        this.#set(name, flag, rest.replace(/^=/, ""));
        return 0;
      }
      if (following === undefined) throw flagError(`flag needs an argument: '${letter}' in ${word}`);
      this.#set(name, flag, following);
      return 1;
    }
    return 0;
  }

  #set(name: string, flag: Flag, text: string): void {
    try {
      if (flag.kind === "bool") parseBool(text);
      if (flag.kind === "int" && !/^[-+]?\d+$/.test(text))
        throw new Error(`strconv.ParseInt: parsing "${text}": invalid syntax`);
      flag.check?.(text);
    } catch (error) {
      const shown = flag.short === undefined ? `--${name}` : `-${flag.short}, --${name}`;
      throw flagError(
        `invalid argument "${text}" for "${shown}" flag: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
    this.given.add(name);
    const texts = this.#texts.get(name) ?? [];
    texts.push(text);
    this.#texts.set(name, texts);
  }

  values(): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(this.table).map(([name, flag]) => {
        const texts = this.#texts.get(name) ?? [];
        const last = texts.at(-1);
        switch (flag.kind) {
          case "bool":
            return [name, last !== undefined && parseBool(last)];
          case "list":
            return [name, texts];
          case "int":
            return [name, last === undefined ? undefined : Number(last)];
          default:
            return [name, last];
        }
      }),
    );
  }
}

function parseBool(text: string): boolean {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw new Error(`strconv.ParseBool: parsing "${text}": invalid syntax`);
}

function flagError(message: string): CliError {
  return new CliError(message, flagErrorCode, "usage");
}

function checkCount(command: Command<FlagTable>, count: number): void {
  const { min, max } = command.args;
  if (count >= min && count <= max) return;
  const plural = (number: number) => `${number} argument${number === 1 ? "" : "s"}`;
  const name = `'skiff ${shownPath(command)}'`;
  if (max === 0) throw new CliError(`skiff: ${name} accepts no arguments`, 1, "usage");
  if (min === max) throw new CliError(`skiff: ${name} requires ${plural(min)}`, 1, "usage");
  if (count < min) throw new CliError(`skiff: ${name} requires at least ${plural(min)}`, 1, "see");
  throw new CliError(`skiff: ${name} requires at most ${plural(max)}`, 1, "usage");
}

/** The spelling that people type. */
export function shownPath(command: { readonly path: string; readonly aliases?: readonly string[] }): string {
  return command.aliases?.[0] ?? command.path;
}
