import { existsSync, readFileSync } from "node:fs";
import { isAbsolute } from "node:path";
import { EngineError, errorMessage } from "#base/errors.ts";
import { shortHash } from "#base/ids.ts";
import type { LogLevel } from "#base/log.ts";
import { daemonFlags, type FlagName, type FlagValues } from "./flags.ts";

export interface TlsFiles {
  readonly verify: boolean;
  readonly ca: string | undefined;
  readonly cert: string;
  readonly key: string;
}

/** Where the API listens. */
export type Listen =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "fd"; readonly fd: number };

/** Everything the daemon is told, checked. */
export interface DaemonConfig {
  readonly listen: readonly Listen[];
  readonly tls: TlsFiles | null;
  readonly dataRoot: string;
  readonly execRoot: string;
  /** Undefined: `docker` where it exists. */
  readonly group: string | undefined;
  readonly pidFile: string | undefined;
  readonly logLevel: LogLevel;
  readonly defaultRuntime: string | undefined;
  /** The user's own bridge, or `none`. */
  readonly bridge: string | undefined;
  readonly bip: string | undefined;
  /** Whether the host's cgroups may be set to favour quick changes. */
  readonly favourQuickGroupChanges: boolean;
  readonly names: InstanceNames;
}

/** What everything on the host that belongs to one data-root is called, so that several daemons stand side by side. */
export interface InstanceNames {
  readonly bridge: string;
  readonly table: string;
  readonly linkPrefix: string;
  readonly cgroupParent: string;
}

const dataRootDefault = "/var/lib/skiff";
const execRootDefault = "/run/skiff";
const configFileDefault = "/etc/skiff/daemon.json";
export const socketDefault = "/run/skiff.sock";
const logLevels: readonly string[] = ["debug", "info", "warn", "error", "fatal"];

export function instanceNames(dataRoot: string): InstanceNames {
  const tag = shortHash(dataRoot);
  const linkPrefix = `v${tag.slice(0, 4)}`;
  if (dataRoot === dataRootDefault) return { bridge: "skiff0", table: "skiff", linkPrefix, cgroupParent: "/skiff" };
  return { bridge: `sk-${tag}`, table: `skiff-${tag}`, linkPrefix, cgroupParent: `/skiff-${tag}` };
}

/** Joins flags and daemon.json, as dockerd does: a directive may stand in one of them only. @throws EngineError `invalid` */
export function loadConfig(flags: FlagValues): DaemonConfig {
  const file = text(flags, "config-file") ?? configFileDefault;
  const fromFile = readConfigFile(file, flags["config-file"] !== undefined);
  const both = Object.keys(fromFile).filter((name) => name in flags);
  if (both.length > 0) {
    const list = both.map(
      (name) =>
        `${name}: (from flag: ${String(flags[name as FlagName])}, from file: ${String(fromFile[name as FlagName])})`,
    );
    throw new EngineError(
      "invalid",
      file,
      `unable to configure the Skiff daemon with file ${file}: the following directives are specified both as a flag and in the configuration file: ${list.join(", ")}`,
    );
  }
  return check({ ...fromFile, ...flags });
}

function text(values: FlagValues, name: FlagName): string | undefined {
  const value = values[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

function readConfigFile(path: string, required: boolean): FlagValues {
  if (!existsSync(path)) {
    if (required)
      throw new EngineError(
        "invalid",
        path,
        `unable to configure the Skiff daemon with file ${path}: open ${path}: no such file or directory`,
      );
    return {};
  }
  const fail = (why: string) =>
    new EngineError("invalid", path, `unable to configure the Skiff daemon with file ${path}: ${why}`);
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw fail(errorMessage(error));
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw fail("want a JSON object");
  const byKey = new Map(
    (Object.keys(daemonFlags) as FlagName[]).map((name) => [daemonFlags[name].key as string, name]),
  );
  const values: Record<string, string | boolean | readonly string[]> = {};
  for (const [key, value] of Object.entries(json)) {
    const name = byKey.get(key);
    if (name === undefined || ["help", "validate", "config-file"].includes(name)) {
      throw fail(`the following directives don't match any configuration option: ${key}`);
    }
    values[name] = checkedValue(name, value, fail);
  }
  return values;
}

function checkedValue(
  name: FlagName,
  value: unknown,
  fail: (why: string) => EngineError,
): string | boolean | readonly string[] {
  const { kind } = daemonFlags[name];
  if (kind === "bool" && typeof value === "boolean") return value;
  if (kind === "text" && typeof value === "string") return value;
  if (kind === "list" && Array.isArray(value) && value.every((entry) => typeof entry === "string"))
    return value as string[];
  throw fail(
    `"${daemonFlags[name].key}" wants a ${kind === "list" ? "list of strings" : kind === "bool" ? "boolean" : "string"}`,
  );
}

function check(values: FlagValues): DaemonConfig {
  const dataRoot = absolute(text(values, "data-root") ?? dataRootDefault, "data-root");
  const execRoot = absolute(text(values, "exec-root") ?? execRootDefault, "exec-root");
  const level = values.debug === true ? "debug" : (text(values, "log-level") ?? "info");
  if (!logLevels.includes(level))
    throw new EngineError("invalid", "log-level", `unable to parse logging level: ${level}`);
  const driver = text(values, "storage-driver");
  if (driver !== undefined && driver !== "overlay" && driver !== "overlay2") {
    throw new EngineError("invalid", "storage-driver", `driver not supported: ${driver}: want overlay`);
  }
  const bridge = text(values, "bridge");
  const bip = text(values, "bip");
  if (bridge !== undefined && bip !== undefined) {
    throw new EngineError(
      "invalid",
      "bridge",
      "You specified -b & --bip, mutually exclusive options. Please specify only one",
    );
  }
  const hosts = (values.host as readonly string[] | undefined) ?? [`unix://${socketDefault}`];
  const tls = tlsFiles(values);
  const listen = hosts.map(parseListen);
  for (const place of listen) refuseInsecure(place, tls, values["force-insecure-tcp"] === true);
  return {
    listen,
    tls,
    dataRoot,
    execRoot,
    group: text(values, "group"),
    pidFile: text(values, "pidfile"),
    logLevel: level as LogLevel,
    defaultRuntime: text(values, "default-runtime"),
    bridge,
    bip,
    favourQuickGroupChanges: values["cgroup-favor-dynmods"] !== false,
    names: instanceNames(dataRoot),
  };
}

function absolute(path: string, what: string): string {
  if (isAbsolute(path)) return path.replace(/(?<=.)\/+$/, "");
  throw new EngineError("invalid", what, `${what} must be an absolute path, got ${path}`);
}

/** `unix://PATH`, `tcp://HOST:PORT`, `fd://3`. @throws EngineError `invalid` */
export function parseListen(host: string): Listen {
  const fail = (why: string) => new EngineError("invalid", host, `invalid bind address (${host}): ${why}`);
  const [, scheme, rest = ""] = /^(?:(\w+):\/\/)?(.*)$/.exec(host) ?? [];
  switch (scheme) {
    case "unix":
      return { kind: "unix", path: rest === "" ? socketDefault : absolute(rest, "socket path") };
    case "fd":
      if (!/^\d*$/.test(rest)) throw fail("want fd:// or fd://NUMBER");
      return { kind: "fd", fd: rest === "" ? 3 : Number(rest) };
    case "tcp": {
      const match = /^(\[[0-9a-fA-F:]+\]|[^:]*):(\d{1,5})\/?$/.exec(rest);
      const port = Number(match?.[2] ?? -1);
      if (match === null || port > 65_535) throw fail("want tcp://HOST:PORT");
      return { kind: "tcp", host: (match[1] ?? "").replace(/^\[|\]$/g, "") || "127.0.0.1", port };
    }
    default:
      throw fail("unsupported scheme: want unix://, tcp:// or fd://");
  }
}

function tlsFiles(values: FlagValues): TlsFiles | null {
  const verify = values.tlsverify === true;
  if (!verify && values.tls !== true) return null;
  const [ca, cert, key] = [text(values, "tlscacert"), text(values, "tlscert"), text(values, "tlskey")];
  if (cert === undefined || key === undefined)
    throw new EngineError("invalid", "tls", "TLS needs --tlscert and --tlskey");
  if (verify && ca === undefined) throw new EngineError("invalid", "tlsverify", "--tlsverify needs --tlscacert");
  return { verify, ca, cert, key };
}

/** The socket is root on this host: over a network it is served to proven clients only. */
function refuseInsecure(place: Listen, tls: TlsFiles | null, forced: boolean): void {
  if (place.kind !== "tcp" || tls?.verify === true || forced) return;
  const loopback = place.host === "localhost" || place.host === "::1" || place.host.startsWith("127.");
  if (loopback) return;
  throw new EngineError(
    "invalid",
    place.host,
    `refusing to serve tcp://${place.host}:${place.port} without --tlsverify: whoever reaches it is root on this host (--force-insecure-tcp does it all the same)`,
  );
}
