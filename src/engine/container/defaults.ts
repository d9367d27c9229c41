import { EngineError } from "#base/errors.ts";
import type { ContainerConfig, HostConfig } from "#spec/engine-api/container.ts";
import type { ImageRunConfig } from "#spec/oci/image.ts";

/** Docker's 64 MiB. */
const shmSizeDefault = 67_108_864;

const maskedPaths = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
];
const readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/** Docker's rule for what runs: an own entrypoint drops the image's command, `[""]` drops both. */
function mergeCommand(own: ContainerConfig, image: ImageRunConfig): Pick<ContainerConfig, "Entrypoint" | "Cmd"> {
  const cleared = own.Entrypoint?.length === 1 && own.Entrypoint[0] === "";
  const entrypoint = cleared ? [] : (own.Entrypoint ?? []);
  const cmd = own.Cmd ?? [];
  if (entrypoint.length > 0 || cleared)
    return { Entrypoint: cleared ? null : entrypoint, Cmd: cmd.length > 0 ? cmd : null };
  return {
    Entrypoint: image.Entrypoint == null ? null : [...image.Entrypoint],
    Cmd: cmd.length > 0 ? cmd : image.Cmd == null ? null : [...image.Cmd],
  };
}

/** The image's variables that the container does not set itself come first, as Docker orders them. */
function mergeEnv(own: readonly string[], image: readonly string[]): string[] {
  const nameOf = (assignment: string) => assignment.split("=", 1)[0];
  const ownNames = new Set(own.map(nameOf));
  return [...own, ...image.filter((assignment) => !ownNames.has(nameOf(assignment)))];
}

/**
 * The container's configuration with the image's defaults filled in.
 * @throws EngineError `invalid` "no command specified"
 */
export function mergeConfig(
  own: ContainerConfig,
  image: ImageRunConfig,
  id: string,
  hostNetwork: string | null,
): ContainerConfig {
  const command = mergeCommand(own, image);
  if ((command.Entrypoint?.length ?? 0) + (command.Cmd?.length ?? 0) === 0) {
    throw new EngineError("invalid", own.Image, "no command specified");
  }
  const stopSignal = own.StopSignal || image.StopSignal;
  const healthcheck = own.Healthcheck ?? image.Healthcheck;
  const exposedPorts = { ...image.ExposedPorts, ...own.ExposedPorts };
  const volumes = { ...image.Volumes, ...own.Volumes };
  const shell = own.Shell ?? image.Shell;
  return {
    Hostname: own.Hostname || (hostNetwork ?? id.slice(0, 12)),
    Domainname: own.Domainname ?? "",
    User: own.User || image.User || "",
    AttachStdin: own.AttachStdin ?? false,
    AttachStdout: own.AttachStdout ?? false,
    AttachStderr: own.AttachStderr ?? false,
    ...(Object.keys(exposedPorts).length > 0 && { ExposedPorts: exposedPorts }),
    Tty: own.Tty ?? false,
    OpenStdin: own.OpenStdin ?? false,
    StdinOnce: own.StdinOnce ?? false,
    Env: mergeEnv(own.Env ?? [], image.Env ?? []),
    Cmd: command.Cmd ?? null,
    ...(healthcheck !== undefined && { Healthcheck: healthcheck }),
    Image: own.Image,
    Volumes: Object.keys(volumes).length > 0 ? volumes : null,
    WorkingDir: own.WorkingDir || image.WorkingDir || "",
    Entrypoint: command.Entrypoint ?? null,
    ...(own.NetworkDisabled !== undefined && { NetworkDisabled: own.NetworkDisabled }),
    ...(own.MacAddress !== undefined && own.MacAddress !== "" && { MacAddress: own.MacAddress }),
    OnBuild: null,
    Labels: { ...image.Labels, ...own.Labels },
    ...(stopSignal !== undefined && stopSignal !== "" && { StopSignal: stopSignal }),
    ...(own.StopTimeout !== undefined && { StopTimeout: own.StopTimeout }),
    ...(shell !== undefined && { Shell: [...shell] }),
  };
}

/** The host side of a container with every default written out, as `inspect` shows it. */
export function completeHostConfig(
  own: HostConfig,
  host: { readonly runtime: string; readonly cgroupVersion: 1 | 2 },
): HostConfig {
  const privileged = own.Privileged ?? false;
  const unconfinedPaths = privileged || (own.SecurityOpt ?? []).some((option) => option === "systempaths=unconfined");
  return {
    Binds: null,
    ContainerIDFile: "",
    PortBindings: {},
    AutoRemove: false,
    VolumeDriver: "",
    VolumesFrom: null,
    ConsoleSize: [0, 0],
    CapAdd: null,
    CapDrop: null,
    Dns: [],
    DnsOptions: [],
    DnsSearch: [],
    ExtraHosts: null,
    GroupAdd: null,
    Cgroup: "",
    Links: null,
    OomScoreAdj: 0,
    PidMode: "",
    Privileged: false,
    PublishAllPorts: false,
    ReadonlyRootfs: false,
    SecurityOpt: null,
    UTSMode: "",
    UsernsMode: "",
    Isolation: "",
    CpuShares: 0,
    Memory: 0,
    NanoCpus: 0,
    CgroupParent: "",
    BlkioWeight: 0,
    BlkioWeightDevice: [],
    BlkioDeviceReadBps: [],
    BlkioDeviceWriteBps: [],
    BlkioDeviceReadIOps: [],
    BlkioDeviceWriteIOps: [],
    CpuPeriod: 0,
    CpuQuota: 0,
    CpuRealtimePeriod: 0,
    CpuRealtimeRuntime: 0,
    CpusetCpus: "",
    CpusetMems: "",
    Devices: [],
    DeviceCgroupRules: null,
    DeviceRequests: null,
    MemoryReservation: 0,
    MemorySwap: 0,
    MemorySwappiness: null,
    OomKillDisable: null,
    PidsLimit: null,
    Ulimits: [],
    ...own,
    NetworkMode:
      own.NetworkMode === undefined || own.NetworkMode === "" || own.NetworkMode === "default"
        ? "bridge"
        : own.NetworkMode,
    RestartPolicy: {
      Name: own.RestartPolicy?.Name || "no",
      MaximumRetryCount: own.RestartPolicy?.MaximumRetryCount ?? 0,
    },
    LogConfig: { Type: own.LogConfig?.Type || "local", Config: own.LogConfig?.Config ?? {} },
    IpcMode: own.IpcMode || "private",
    CgroupnsMode: own.CgroupnsMode || (host.cgroupVersion === 2 && !privileged ? "private" : "host"),
    ShmSize: own.ShmSize || shmSizeDefault,
    Runtime: own.Runtime || host.runtime,
    MaskedPaths: own.MaskedPaths ?? (unconfinedPaths ? null : maskedPaths),
    ReadonlyPaths: own.ReadonlyPaths ?? (unconfinedPaths ? null : readonlyPaths),
  };
}
