import { EngineError } from "#base/errors.ts";

/** dockerd's flags that Skiff has, with the key that daemon.json uses for each. */
interface FlagSpec {
  readonly short?: string;
  readonly kind: "text" | "bool" | "list";
  readonly key: string;
  readonly help: string;
}

export const daemonFlags = {
  host: { short: "H", kind: "list", key: "hosts", help: "Daemon socket(s) to connect to" },
  "data-root": { kind: "text", key: "data-root", help: "Root directory of persistent state (default /var/lib/skiff)" },
  "exec-root": { kind: "text", key: "exec-root", help: "Root directory of execution state files (default /run/skiff)" },
  "config-file": {
    kind: "text",
    key: "config-file",
    help: "Daemon configuration file (default /etc/skiff/daemon.json)",
  },
  group: {
    short: "G",
    kind: "text",
    key: "group",
    help: 'Group for the unix socket (default "docker", where it exists)',
  },
  pidfile: { short: "p", kind: "text", key: "pidfile", help: "Path to use for daemon PID file" },
  "log-level": {
    short: "l",
    kind: "text",
    key: "log-level",
    help: 'Set the logging level ("debug"|"info"|"warn"|"error"|"fatal")',
  },
  debug: { short: "D", kind: "bool", key: "debug", help: "Enable debug mode" },
  "default-runtime": {
    kind: "text",
    key: "default-runtime",
    help: "Default OCI runtime for containers (crun, runc or a path)",
  },
  bridge: { short: "b", kind: "text", key: "bridge", help: "Attach containers to an existing network bridge" },
  bip: { kind: "text", key: "bip", help: "Address and prefix of the default bridge" },
  "storage-driver": { short: "s", kind: "text", key: "storage-driver", help: "Storage driver to use (overlay)" },
  tls: { kind: "bool", key: "tls", help: "Use TLS; implied by --tlsverify" },
  tlsverify: { kind: "bool", key: "tlsverify", help: "Use TLS and verify the remote" },
  tlscacert: { kind: "text", key: "tlscacert", help: "Trust certs signed only by this CA" },
  tlscert: { kind: "text", key: "tlscert", help: "Path to TLS certificate file" },
  tlskey: { kind: "text", key: "tlskey", help: "Path to TLS key file" },
  "force-insecure-tcp": {
    kind: "bool",
    key: "force-insecure-tcp",
    help: "Serve plain TCP off loopback: whoever reaches the port is root on this host",
  },
  "cgroup-favor-dynmods": {
    kind: "bool",
    key: "cgroup-favor-dynmods",
    help: "Set favordynmods on the host's cgroups: containers start faster, forks cost a little more (default true)",
  },
  validate: { kind: "bool", key: "validate", help: "Validate daemon configuration and exit" },
  help: { short: "h", kind: "bool", key: "help", help: "Print usage" },
} as const satisfies Record<string, FlagSpec>;

export type FlagName = keyof typeof daemonFlags;
export type FlagValues = Partial<Record<FlagName, string | boolean | readonly string[]>>;

const byShort = new Map<string, FlagName>(
  (Object.entries(daemonFlags) as [FlagName, FlagSpec][]).flatMap(([name, { short }]) =>
    short === undefined ? [] : [[short, name] as const],
  ),
);

/** Reads the daemon's arguments. @throws EngineError `invalid` in Docker's words */
export function parseDaemonFlags(argv: readonly string[]): FlagValues {
  const values: Record<string, string | boolean | string[]> = {};
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] ?? "";
    const { name, attached } = flagOf(word);
    const spec: FlagSpec = daemonFlags[name];
    if (spec.kind === "bool") {
      values[name] = parseBool(name, attached ?? "true");
      continue;
    }
    const value = attached ?? argv[++index];
    if (value === undefined) throw new EngineError("invalid", word, `flag needs an argument: ${word}`);
    if (spec.kind === "list") values[name] = [...((values[name] as string[] | undefined) ?? []), value];
    else values[name] = value;
  }
  return values;
}

function flagOf(word: string): { name: FlagName; attached: string | undefined } {
  if (word.startsWith("--")) {
    const equals = word.indexOf("=");
    const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
    if (!(name in daemonFlags)) throw new EngineError("invalid", word, `unknown flag: --${name}`);
    return { name: name as FlagName, attached: equals < 0 ? undefined : word.slice(equals + 1) };
  }
  if (word.startsWith("-") && word.length > 1) {
    const name = byShort.get(word[1] ?? "");
    if (name === undefined) throw new EngineError("invalid", word, `unknown shorthand flag: '${word[1]}' in ${word}`);
    return { name, attached: word.length > 2 ? word.slice(2).replace(/^=/, "") : undefined };
  }
  throw new EngineError("invalid", word, `unexpected argument "${word}": the daemon takes flags only`);
}

function parseBool(name: string, text: string): boolean {
  if (["true", "1", "t", "T", "TRUE", "True"].includes(text)) return true;
  if (["false", "0", "f", "F", "FALSE", "False"].includes(text)) return false;
  throw new EngineError(
    "invalid",
    name,
    `invalid argument "${text}" for "--${name}" flag: strconv.ParseBool: parsing "${text}": invalid syntax`,
  );
}

/** The flags as `--help` lists them. */
export function daemonUsage(): string {
  const lines = (Object.entries(daemonFlags) as [string, FlagSpec][]).map(([name, { short, kind, help }]) => {
    const left = `${short === undefined ? "    " : `-${short}, `}--${name}${kind === "bool" ? "" : kind === "list" ? " list" : " string"}`;
    return `  ${left.padEnd(34)} ${help}`;
  });
  return `Usage:  skiff daemon [OPTIONS]\n\nA self-sufficient runtime for containers.\n\nOptions:\n${lines.join("\n")}\n`;
}
