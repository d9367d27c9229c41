import { ApiClient, ApiError, ConnectionError } from "#client/api-client/api-client.ts";
import { chooseEndpoint, type EndpointOptions } from "#client/api-client/endpoint.ts";
import { CliError, type Command, type CommandContext, type FlagTable } from "./command.ts";
import { commandHelp, commandList, usageLine } from "./help.ts";
import { standardOutput } from "./output.ts";
import { parseArguments } from "./parse.ts";
import { groups, registry, spellings } from "./registry.ts";

const version = process.env.SKIFF_BUILD ?? "dev";
const out = standardOutput();

/** Runs one command line. @returns the exit code */
export async function runCli(argv: readonly string[]): Promise<number> {
  try {
    const { options, rest, wantsHelp, wantsVersion } = globalFlags(argv);
    if (wantsVersion) {
      out.line(`Skiff version ${(await import("#base/version.ts")).programVersion}, build ${version}`);
      return 0;
    }
    if (rest.length === 0 || wantsHelp || rest[0] === "help") {
      const topic = rest[0] === "help" ? rest.slice(1) : [];
      return topic.length === 0 ? topHelp() : await dispatch([...topic, "--help"], options);
    }
    return await dispatch(rest, options);
  } catch (error) {
    if (error instanceof CliError) {
      if (error.message !== "") out.error(error.message);
      return error.exitCode;
    }
    out.error(
      error instanceof ApiError
        ? `Error response from daemon: ${error.message}`
        : error instanceof Error
          ? error.message
          : String(error),
    );
    return 1;
  }
}

const globalTable = {
  host: { kind: "list", short: "H", help: "Daemon socket to connect to" },
  context: { kind: "string", short: "c", help: "Name of the context to use to connect to the daemon" },
  config: { kind: "string", help: "Location of client config files" },
  debug: { kind: "bool", short: "D", help: "Enable debug mode" },
  "log-level": { kind: "string", short: "l", help: "Set the logging level" },
  tls: { kind: "bool", help: "Use TLS; implied by --tlsverify" },
  tlscacert: { kind: "string", help: "Trust certs signed only by this CA" },
  tlscert: { kind: "string", help: "Path to TLS certificate file" },
  tlskey: { kind: "string", help: "Path to TLS key file" },
  tlsverify: { kind: "bool", help: "Use TLS and verify the remote" },
  version: { kind: "bool", short: "v", help: "Print version information and quit" },
} as const satisfies FlagTable;

/** Flags before the command. */
function globalFlags(argv: readonly string[]) {
  const root: Command<typeof globalTable> = {
    path: "",
    usage: "COMMAND",
    summary: "",
    args: { min: 0, max: Number.POSITIVE_INFINITY },
    flags: globalTable,
    stopsAtFirstArgument: true,
    run: async () => {},
  };
  const { flags, given, args } = parseArguments(root, argv);
  if (flags.config !== undefined) process.env.DOCKER_CONFIG = flags.config;
  if (flags.host.length > 1) throw new CliError("Specify only one -H");
  const options: EndpointOptions = {
    ...(flags.host[0] !== undefined && { host: flags.host[0] }),
    ...(flags.context !== undefined && { context: flags.context }),
    ...(flags.tls && { tls: true }),
    ...(given.has("tlsverify") && { tlsVerify: flags.tlsverify }),
    ...(flags.tlscacert !== undefined && { tlsCaCert: flags.tlscacert }),
    ...(flags.tlscert !== undefined && { tlsCert: flags.tlscert }),
    ...(flags.tlskey !== undefined && { tlsKey: flags.tlskey }),
  };
  return { options, rest: args, wantsHelp: given.has("help"), wantsVersion: flags.version };
}

/** Finds the command: two words (`container run`) or one (`run`). */
async function dispatch(words: readonly string[], options: EndpointOptions): Promise<number> {
  const all = spellings();
  const [first = "", second = ""] = words;
  const two = all.get(`${first} ${second}`);
  const path = two ?? all.get(first);
  if (path === undefined) return unknown(words);
  const command = await registry[path]?.load();
  if (command === undefined) return unknown(words);
  const typed = two === undefined ? first : `${first} ${second}`;
  return runCommand(command, typed, words.slice(two === undefined ? 1 : 2), options);
}

async function runCommand(
  command: Command<FlagTable>,
  typed: string,
  argv: readonly string[],
  options: EndpointOptions,
): Promise<number> {
  const hint = `\nRun 'skiff ${typed} --help' for more information`;
  try {
    const { flags, given, args } = parseArguments(command, argv);
    if (given.has("help")) {
      await out.write(commandHelp(command, out.columns));
      return 0;
    }
    let engine: ApiClient | null = null;
    const context: CommandContext<FlagTable> = {
      args,
      flags,
      given,
      out,
      path: typed,
      get engine() {
        engine ??= connect(options);
        return engine;
      },
    };
    const code = await command.run(context);
    return typeof code === "number" ? code : 0;
  } catch (error) {
    if (error instanceof CliError) {
      if (error.showsHelp === "usage" || error.showsHelp === "see") {
        const pointer = error.showsHelp === "see" ? hint.replace("Run", "See") : hint;
        out.error(`${error.message}\n\n${usageLine(command)}\n${pointer}`);
      } else if (error.message !== "")
        out.error(error.showsHelp === "hint" ? `${error.message}\n${hint}` : error.message);
      return error.exitCode;
    }
    if (error instanceof ApiError) {
      const isRun = command.path === "container run";
      out.error(
        isRun
          ? `skiff: Error response from daemon: ${error.message}\n${hint}`
          : `Error response from daemon: ${error.message}`,
      );
      return isRun ? 125 : 1;
    }
    if (error instanceof ConnectionError) {
      const isRun = command.path === "container run";
      out.error(isRun ? `skiff: ${error.message}\n${hint}` : error.message);
      return isRun ? 125 : 1;
    }
    throw error;
  }
}

function connect(options: EndpointOptions): ApiClient {
  const endpoint = chooseEndpoint(options, process.env);
  return new ApiClient(endpoint, async () => {
    if (endpoint.kind !== "unix") return false;
    const { startDaemon } = await import("./start-daemon.ts");
    return startDaemon(endpoint.path);
  });
}

function unknown(words: readonly string[]): number {
  const [first = "", second] = words;
  if (first in groups && (second === undefined || second === "--help" || second === "-h")) return groupHelp(first);
  const typed = first in groups ? `${first} ${second}` : first;
  const near = nearest(typed);
  const suggestion = near === null ? "" : `\n\nDid you mean this?\n\tskiff ${near}`;
  out.error(
    `skiff: unknown command: skiff ${typed}${suggestion}\n\nRun 'skiff${first in groups ? ` ${first}` : ""} --help' for more information`,
  );
  return 1;
}

/** The known spelling that takes the fewest changed letters, if they are few. */
function nearest(typed: string): string | null {
  let best: { name: string; distance: number } | null = null;
  for (const name of [...spellings().keys(), "daemon"]) {
    const distance = editDistance(typed, name);
    if (distance <= 2 && (best === null || distance < best.distance)) best = { name, distance };
  }
  return best?.name ?? null;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

function topHelp(): number {
  const short = Object.entries(registry).flatMap(([path, { aliases, summary }]) => {
    const name = [path, ...aliases].find((spelling) => !spelling.includes(" "));
    return name === undefined ? [] : [[name, summary] as const];
  });
  const byName = [...short, ["daemon", "Run the daemon"] as const].sort(([a], [b]) => (a < b ? -1 : 1));
  out.line("Usage:  skiff [OPTIONS] COMMAND\n\nA self-sufficient runtime for containers\n");
  out.line(commandList("Management Commands", Object.entries(groups)));
  out.line(commandList("Commands", byName));
  out.line("Run 'skiff COMMAND --help' for more information on a command.");
  return 0;
}

function groupHelp(group: string): number {
  const own = Object.entries(registry)
    .filter(([path]) => path.startsWith(`${group} `))
    .map(([path, { summary }]) => [path.slice(group.length + 1), summary] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  out.line(`Usage:  skiff ${group} COMMAND\n\n${groups[group]}\n`);
  out.line(commandList("Commands", own));
  out.line(`Run 'skiff ${group} COMMAND --help' for more information on a command.`);
  return 0;
}
