/** What a command is: one value from which parser, help and completion are made. */
import type { ApiClient } from "#client/api-client/api-client.ts";

export type FlagKind = "bool" | "string" | "list" | "int";

export interface Flag<K extends FlagKind = FlagKind> {
  readonly kind: K;
  readonly short?: string;
  readonly help: string;
  /** Docker's word for the value's type in help texts; `string` or `list` when absent. */
  readonly type?: string;
  /** Shown in help. */
  readonly default?: string;
  /** Throws when the text is no such value; the parser names flag and text. */
  readonly check?: (text: string) => unknown;
  readonly hidden?: boolean;
}

export type FlagTable = Readonly<Record<string, Flag>>;

/** Values of a command's flags: lists are empty and bools false when absent, the rest undefined. */
export type FlagValues<T extends FlagTable> = {
  readonly [K in keyof T]: T[K]["kind"] extends "bool"
    ? boolean
    : T[K]["kind"] extends "list"
      ? readonly string[]
      : T[K]["kind"] extends "int"
        ? number | undefined
        : string | undefined;
};

/** What live names an argument may be completed to. */
export type Completion = "containers" | "running-containers" | "images" | "volumes" | "networks" | "files" | "none";

export interface CommandContext<T extends FlagTable> {
  readonly args: readonly string[];
  readonly flags: FlagValues<T>;
  /** Names of flags that were given, for those whose absence means something else than false. */
  readonly given: ReadonlySet<string>;
  /** Opens the connection on first use. */
  readonly engine: ApiClient;
  readonly out: Output;
  /** `skiff run`: how messages of this command begin. */
  readonly path: string;
}

export interface Output {
  line(text: string): void;
  write(bytes: string | Uint8Array): Promise<void>;
  error(text: string): void;
  readonly isTerminal: boolean;
  readonly columns: number;
}

export interface Command<T extends FlagTable = FlagTable> {
  /** `container run`: the long spelling. */
  readonly path: string;
  /** Other spellings, the short one first: `run`. */
  readonly aliases?: readonly string[];
  /** As help shows it: `IMAGE [COMMAND] [ARG...]`. */
  readonly usage: string;
  readonly summary: string;
  readonly args: { readonly min: number; readonly max: number };
  readonly completes?: Completion;
  readonly flags: T;
  /** Flags end at the first argument: what follows belongs to the container. */
  readonly stopsAtFirstArgument?: boolean;
  /** @returns the exit code; 0 when it is no number */
  run(context: CommandContext<T>): Promise<unknown>;
}

/** Gives a table its type. */
export function command<const T extends FlagTable>(value: Command<T>): Command<T> {
  return value;
}

/** Ends a command with a message (none: it was printed already) and an exit code. */
export class CliError extends Error {
  override readonly name = "CliError";
  constructor(
    message: string,
    readonly exitCode = 1,
    /** The end of the message points to the command's help. */
    readonly showsHelp: false | "usage" | "see" | "hint" = false,
  ) {
    super(message);
  }
}
