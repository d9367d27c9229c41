/** Flags of `run` and `create`, and the request they make. */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { CreateRequest, EndpointSettings, HostConfig, MountRequest } from "#spec/engine-api/container.ts";
import { parseDeviceFlag, parseMountFlag, parseUlimitFlag } from "#spec/engine-api/mount-spec.ts";
import { parsePorts } from "#spec/engine-api/port-spec.ts";
import { parseByteSize, parseDurationNs } from "#spec/engine-api/units.ts";
import { CliError, type FlagTable, type FlagValues } from "../command.ts";
import { consoleSize } from "../output.ts";

const bytes = { kind: "string", type: "bytes", check: parseByteSize } as const;

export const createFlags = {
  "add-host": { kind: "list", help: "Add a custom host-to-IP mapping (host:ip)" },
  annotation: {
    kind: "list",
    type: "map",
    help: "Add an annotation to the container (passed through to the OCI runtime)",
  },
  attach: { kind: "list", short: "a", help: "Attach to STDIN, STDOUT or STDERR" },
  "blkio-weight": {
    kind: "int",
    type: "uint16",
    help: "Block IO (relative weight), between 10 and 1000, or 0 to disable",
  },
  "cap-add": { kind: "list", help: "Add Linux capabilities" },
  "cap-drop": { kind: "list", help: "Drop Linux capabilities" },
  "cgroup-parent": { kind: "string", help: "Optional parent cgroup for the container" },
  cgroupns: { kind: "string", help: "Cgroup namespace to use (host|private)" },
  cidfile: { kind: "string", help: "Write the container ID to the file" },
  "cpu-period": { kind: "int", help: "Limit CPU CFS (Completely Fair Scheduler) period" },
  "cpu-quota": { kind: "int", help: "Limit CPU CFS (Completely Fair Scheduler) quota" },
  "cpu-shares": { kind: "int", short: "c", help: "CPU shares (relative weight)" },
  cpus: { kind: "string", type: "decimal", help: "Number of CPUs", check: parseCpus },
  "cpuset-cpus": { kind: "string", help: "CPUs in which to allow execution (0-3, 0,1)" },
  "cpuset-mems": { kind: "string", help: "MEMs in which to allow execution (0-3, 0,1)" },
  device: { kind: "list", help: "Add a host device to the container" },
  "device-cgroup-rule": { kind: "list", help: "Add a rule to the cgroup allowed devices list" },
  dns: { kind: "list", help: "Set custom DNS servers" },
  "dns-option": { kind: "list", help: "Set DNS options" },
  "dns-search": { kind: "list", help: "Set custom DNS search domains" },
  domainname: { kind: "string", help: "Container NIS domain name" },
  entrypoint: { kind: "string", help: "Overwrite the default ENTRYPOINT of the image" },
  env: { kind: "list", short: "e", help: "Set environment variables" },
  "env-file": { kind: "list", help: "Read in a file of environment variables" },
  expose: { kind: "list", help: "Expose a port or a range of ports" },
  "group-add": { kind: "list", help: "Add additional groups to join" },
  hostname: { kind: "string", short: "h", help: "Container host name" },
  init: { kind: "bool", help: "Run an init inside the container that forwards signals and reaps processes" },
  interactive: { kind: "bool", short: "i", help: "Keep STDIN open even if not attached" },
  ip: { kind: "string", type: "ip", help: "IPv4 address (e.g., 172.30.100.104)" },
  ipc: { kind: "string", help: "IPC mode to use" },
  label: { kind: "list", short: "l", help: "Set meta data on a container" },
  "label-file": { kind: "list", help: "Read in a line delimited file of labels" },
  "log-driver": { kind: "string", help: "Logging driver for the container" },
  "log-opt": { kind: "list", help: "Log driver options" },
  "mac-address": { kind: "string", help: "Container MAC address (e.g., 92:d0:c6:0a:29:33)" },
  memory: { ...bytes, short: "m", help: "Memory limit" },
  "memory-reservation": { ...bytes, help: "Memory soft limit" },
  "memory-swap": {
    kind: "string",
    type: "bytes",
    help: "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
    check: parseSwap,
  },
  "memory-swappiness": { kind: "int", help: "Tune container memory swappiness (0 to 100)", default: "-1" },
  mount: { kind: "list", type: "mount", help: "Attach a filesystem mount to the container", check: parseMountFlag },
  name: { kind: "string", help: "Assign a name to the container" },
  network: { kind: "list", type: "network", help: "Connect a container to a network" },
  net: { kind: "list", type: "network", help: "Connect a container to a network", hidden: true },
  "network-alias": { kind: "list", help: "Add network-scoped alias for the container" },
  "no-healthcheck": { kind: "bool", help: "Disable any container-specified HEALTHCHECK" },
  "oom-kill-disable": { kind: "bool", help: "Disable OOM Killer" },
  "oom-score-adj": { kind: "int", help: "Tune host's OOM preferences (-1000 to 1000)" },
  pid: { kind: "string", help: "PID namespace to use" },
  "pids-limit": { kind: "int", help: "Tune container pids limit (set -1 for unlimited)" },
  platform: { kind: "string", help: "Set platform if server is multi-platform capable" },
  privileged: { kind: "bool", help: "Give extended privileges to this container" },
  publish: { kind: "list", short: "p", help: "Publish a container's port(s) to the host" },
  "publish-all": { kind: "bool", short: "P", help: "Publish all exposed ports to random ports" },
  pull: {
    kind: "string",
    help: 'Pull image before creating ("always", "missing", "never")',
    default: "missing",
    check: parsePull,
  },
  quiet: { kind: "bool", short: "q", help: "Suppress the pull output" },
  "read-only": { kind: "bool", help: "Mount the container's root filesystem as read only" },
  restart: { kind: "string", help: "Restart policy to apply when a container exits", default: "no" },
  rm: { kind: "bool", help: "Automatically remove the container and its associated anonymous volumes when it exits" },
  runtime: { kind: "string", help: "Runtime to use for this container" },
  "security-opt": { kind: "list", help: "Security Options" },
  "shm-size": { ...bytes, help: "Size of /dev/shm" },
  "stop-signal": { kind: "string", help: "Signal to stop the container" },
  "stop-timeout": { kind: "int", help: "Timeout (in seconds) to stop a container" },
  "storage-opt": { kind: "list", help: "Storage driver options for the container" },
  sysctl: { kind: "list", type: "map", help: "Sysctl options" },
  tmpfs: { kind: "list", help: "Mount a tmpfs directory" },
  tty: { kind: "bool", short: "t", help: "Allocate a pseudo-TTY" },
  ulimit: { kind: "list", type: "ulimit", help: "Ulimit options", check: parseUlimitFlag },
  user: { kind: "string", short: "u", help: "Username or UID (format: <name|uid>[:<group|gid>])" },
  userns: { kind: "string", help: "User namespace to use" },
  uts: { kind: "string", help: "UTS namespace to use" },
  volume: { kind: "list", short: "v", help: "Bind mount a volume" },
  "volume-driver": { kind: "string", help: "Optional volume driver for the container" },
  "volumes-from": { kind: "list", help: "Mount volumes from the specified container(s)" },
  workdir: { kind: "string", short: "w", help: "Working directory inside the container" },
  "health-cmd": { kind: "string", help: "Command to run to check health" },
  "health-interval": {
    kind: "string",
    type: "duration",
    help: "Time between running the check (ms|s|m|h) (default 0s)",
    check: parseDurationNs,
  },
  "health-retries": { kind: "int", help: "Consecutive failures needed to report unhealthy" },
  "health-start-interval": {
    kind: "string",
    type: "duration",
    help: "Time between running the check during the start period (ms|s|m|h) (default 0s)",
    check: parseDurationNs,
  },
  "health-start-period": {
    kind: "string",
    type: "duration",
    help: "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)",
    check: parseDurationNs,
  },
  "health-timeout": {
    kind: "string",
    type: "duration",
    help: "Maximum time to allow one check to run (ms|s|m|h) (default 0s)",
    check: parseDurationNs,
  },
} as const satisfies FlagTable;

export type CreateFlags = FlagValues<typeof createFlags>;

function parseCpus(text: string): number {
  const match = /^\d*\.?\d+$/.test(text) || /^\d+\.$/.test(text);
  if (!match) throw new Error(`failed to parse ${text} as a rational number`);
  const [, fraction = ""] = text.split(".");
  if (fraction.length > 9) throw new Error("value is too precise");
  return Math.round(Number(text) * 1e9);
}

function parseSwap(text: string): number {
  return text === "-1" ? -1 : parseByteSize(text);
}

function parsePull(text: string): string {
  if (["always", "missing", "never", ""].includes(text)) return text;
  throw new Error(`invalid pull option: '${text}': must be one of "always", "missing" or "never"`);
}

/** Variables of an env file: lines of NAME=VALUE, or NAME alone for the caller's own value; `#` begins a comment. */
export function readEnvFile(path: string): string[] {
  return readLines(path).flatMap((line) => {
    const equals = line.indexOf("=");
    const name = equals < 0 ? line : line.slice(0, equals);
    if (/\s/.test(name)) throw new Error(`poorly formatted environment: variable '${name}' contains whitespaces`);
    if (name === "") throw new Error(`poorly formatted environment: no variable name on line '${line}'`);
    if (equals >= 0) return [line];
    const own = process.env[name];
    return own === undefined ? [] : [`${name}=${own}`];
  });
}

function readLines(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    throw new Error(`open ${path}: no such file or directory`);
  }
  return text
    .replace(/^\ufeff/, "")
    .split(/\r?\n/)
    .map((line) => line.trimStart())
    .filter((line) => line !== "" && !line.startsWith("#"));
}

function environment(flags: CreateFlags): string[] {
  const fromFiles = flags["env-file"].flatMap(readEnvFile);
  const direct = flags.env.flatMap((assignment) => {
    if (assignment === "" || assignment.startsWith("=")) throw new Error(`invalid environment variable: ${assignment}`);
    if (assignment.includes("=")) return [assignment];
    const own = process.env[assignment];
    return own === undefined ? [] : [`${assignment}=${own}`];
  });
  return [...fromFiles, ...direct];
}

function pairs(list: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    list.map((text) => {
      const equals = text.indexOf("=");
      return equals < 0 ? [text, ""] : [text.slice(0, equals), text.slice(equals + 1)];
    }),
  );
}

function securityOptions(list: readonly string[]): string[] {
  return list.map((option) => {
    const match = /^seccomp[=:](.*)$/.exec(option);
    const file = match?.[1];
    if (file === undefined || file === "unconfined" || file === "builtin" || file.startsWith("{")) return option;
    try {
      return `seccomp=${JSON.stringify(JSON.parse(readFileSync(file, "utf8")))}`;
    } catch (error) {
      throw new Error(
        `opening seccomp profile (${file}) failed: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  });
}

function restartPolicy(text: string | undefined): NonNullable<HostConfig["RestartPolicy"]> {
  const [name = "no", count, ...more] = (text ?? "no").split(":");
  if (more.length > 0) throw new Error("invalid restart policy format: maximum retry count must be an integer");
  if (count !== undefined && !/^\d+$/.test(count))
    throw new Error("invalid restart policy format: maximum retry count must be an integer");
  return { Name: name as "no", MaximumRetryCount: count === undefined ? 0 : Number(count) };
}

/** `-v` splits into what is bound (has a source) and anonymous volumes. Relative sources are made absolute. */
function volumes(list: readonly string[]): { binds: string[]; anonymous: Record<string, object> } {
  const binds: string[] = [];
  const anonymous: Record<string, object> = {};
  for (const text of list) {
    const colon = text.indexOf(":");
    if (colon < 0) anonymous[text] = {};
    else if (/^\.{0,2}$|^\.{1,2}\//.test(text.slice(0, colon)) && colon > 0) {
      binds.push(`${resolve(text.slice(0, colon))}${text.slice(colon)}`);
    } else binds.push(text);
  }
  return { binds, anonymous };
}

function tmpfs(list: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    list.map((text) => {
      const colon = text.indexOf(":");
      return colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 1)];
    }),
  );
}

function health(flags: CreateFlags): CreateRequest["Healthcheck"] {
  if (flags["no-healthcheck"]) return { Test: ["NONE"] };
  const ns = (text: string | undefined) => (text === undefined ? undefined : Number(parseDurationNs(text)));
  const command = flags["health-cmd"];
  const fields = {
    Test: command === undefined ? undefined : ["CMD-SHELL", command],
    Interval: ns(flags["health-interval"]),
    Timeout: ns(flags["health-timeout"]),
    Retries: flags["health-retries"],
    StartPeriod: ns(flags["health-start-period"]),
    StartInterval: ns(flags["health-start-interval"]),
  };
  const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  return Object.keys(given).length === 0 ? undefined : (given as NonNullable<CreateRequest["Healthcheck"]>);
}

/** Streams that `-a` names. @throws CliError for another word */
export function attachedStreams(
  flags: Pick<CreateFlags, "attach" | "interactive">,
  detached: boolean,
): { stdin: boolean; stdout: boolean; stderr: boolean } {
  const wanted = new Set(flags.attach.map((word) => word.toLowerCase()));
  for (const word of wanted) {
    if (!["stdin", "stdout", "stderr"].includes(word))
      throw new CliError(
        `invalid argument "${word}" for "-a, --attach" flag: valid streams are STDIN, STDOUT and STDERR`,
        125,
        "usage",
      );
  }
  if (detached) return { stdin: false, stdout: false, stderr: false };
  if (wanted.size === 0) return { stdin: flags.interactive, stdout: true, stderr: true };
  return { stdin: wanted.has("stdin"), stdout: wanted.has("stdout"), stderr: wanted.has("stderr") };
}

function clean<T extends object>(value: T): T {
  return Object.fromEntries(
    Object.entries(value).filter(([, entry]) => entry !== undefined && !(Array.isArray(entry) && entry.length === 0)),
  ) as T;
}

/** The body of POST /containers/create. @throws Error in Docker's words */
export function createRequest(
  flags: CreateFlags,
  given: ReadonlySet<string>,
  image: string,
  command: readonly string[],
  detached: boolean,
): CreateRequest {
  const streams = attachedStreams(flags, detached);
  const { ExposedPorts: exposed, PortBindings: bindings } = parsePorts(flags.publish, flags.expose);
  const { binds, anonymous } = volumes(flags.volume);
  const networks = [...flags.network, ...flags.net];
  const network = networks[0];
  const endpoint = clean<EndpointSettings>({
    ...(flags["network-alias"].length > 0 && { Aliases: [...flags["network-alias"]] }),
    ...(flags.ip !== undefined && { IPAMConfig: { IPv4Address: flags.ip } }),
    ...(flags["mac-address"] !== undefined && { MacAddress: flags["mac-address"] }),
  });
  const host: HostConfig = clean({
    Binds: binds,
    ContainerIDFile: flags.cidfile ?? "",
    LogConfig: { Type: flags["log-driver"] ?? "", Config: pairs(flags["log-opt"]) },
    NetworkMode: network ?? "default",
    PortBindings: bindings,
    RestartPolicy: restartPolicy(flags.restart),
    AutoRemove: flags.rm,
    VolumeDriver: flags["volume-driver"],
    VolumesFrom: [...flags["volumes-from"]],
    ConsoleSize: consoleSize(),
    Annotations: flags.annotation.length > 0 ? pairs(flags.annotation) : undefined,
    CapAdd: [...flags["cap-add"]],
    CapDrop: [...flags["cap-drop"]],
    CgroupnsMode: flags.cgroupns as HostConfig["CgroupnsMode"],
    Dns: [...flags.dns],
    DnsOptions: [...flags["dns-option"]],
    DnsSearch: [...flags["dns-search"]],
    ExtraHosts: flags["add-host"].map((entry) => entry.replace("=", ":")),
    GroupAdd: [...flags["group-add"]],
    IpcMode: flags.ipc,
    OomScoreAdj: flags["oom-score-adj"],
    PidMode: flags.pid,
    Privileged: flags.privileged,
    PublishAllPorts: flags["publish-all"],
    ReadonlyRootfs: flags["read-only"],
    SecurityOpt: securityOptions(flags["security-opt"]),
    StorageOpt: flags["storage-opt"].length > 0 ? pairs(flags["storage-opt"]) : undefined,
    Tmpfs: flags.tmpfs.length > 0 ? tmpfs(flags.tmpfs) : undefined,
    UTSMode: flags.uts,
    UsernsMode: flags.userns,
    ShmSize: flags["shm-size"] === undefined ? undefined : parseByteSize(flags["shm-size"]),
    Sysctls: flags.sysctl.length > 0 ? pairs(flags.sysctl) : undefined,
    Runtime: flags.runtime,
    Init: given.has("init") ? flags.init : undefined,
    CpuShares: flags["cpu-shares"],
    Memory: flags.memory === undefined ? undefined : parseByteSize(flags.memory),
    MemoryReservation:
      flags["memory-reservation"] === undefined ? undefined : parseByteSize(flags["memory-reservation"]),
    MemorySwap: flags["memory-swap"] === undefined ? undefined : parseSwap(flags["memory-swap"]),
    MemorySwappiness: flags["memory-swappiness"],
    NanoCpus: flags.cpus === undefined ? undefined : parseCpus(flags.cpus),
    CgroupParent: flags["cgroup-parent"],
    BlkioWeight: flags["blkio-weight"],
    CpuPeriod: flags["cpu-period"],
    CpuQuota: flags["cpu-quota"],
    CpusetCpus: flags["cpuset-cpus"],
    CpusetMems: flags["cpuset-mems"],
    Devices: flags.device.map(parseDeviceFlag),
    DeviceCgroupRules: [...flags["device-cgroup-rule"]],
    OomKillDisable: given.has("oom-kill-disable") ? flags["oom-kill-disable"] : undefined,
    PidsLimit: flags["pids-limit"],
    Ulimits: flags.ulimit.map(parseUlimitFlag),
    Mounts: flags.mount.map((text): MountRequest => parseMountFlag(text)),
  }) as HostConfig;
  return clean({
    Hostname: flags.hostname,
    Domainname: flags.domainname,
    User: flags.user,
    AttachStdin: streams.stdin,
    AttachStdout: streams.stdout,
    AttachStderr: streams.stderr,
    ExposedPorts: exposed,
    Tty: flags.tty,
    OpenStdin: flags.interactive,
    StdinOnce: flags.interactive && !detached,
    Env: environment(flags),
    Cmd: command.length > 0 ? [...command] : undefined,
    Image: image,
    Volumes: anonymous,
    WorkingDir: flags.workdir,
    Entrypoint: flags.entrypoint === undefined ? undefined : [flags.entrypoint],
    Labels: pairs([...flags["label-file"].flatMap(readLines), ...flags.label]),
    StopSignal: flags["stop-signal"],
    StopTimeout: flags["stop-timeout"],
    Healthcheck: health(flags),
    MacAddress: flags["mac-address"],
    HostConfig: host,
    NetworkingConfig:
      network !== undefined && Object.keys(endpoint).length > 0 && !["host", "none"].includes(network)
        ? { EndpointsConfig: { [network]: endpoint } }
        : undefined,
  }) as CreateRequest;
}

/** Where `--cidfile` may write. @throws Error when the file is there already */
export function checkCidFile(path: string | undefined): void {
  if (path !== undefined && existsSync(path)) {
    throw new Error(`container ID file found, make sure the other container isn't running or delete ${path}`);
  }
}
