/** Bodies of requests, field by field. */
import { EngineError } from "#base/errors.ts";
import type { CreateRequest, ExecCreateRequest } from "#spec/engine-api/container.ts";
import type { VolumeCreateRequest } from "#spec/engine-api/volume.ts";
import { anything, bool, integer, list, map, nullable, object, text, words } from "./shape.ts";

const portBinding = object({ HostIp: text, HostPort: text });
const throttle = list(object({ Path: text, Rate: integer }));

const health = object({
  Test: list(text),
  Interval: integer,
  Timeout: integer,
  Retries: integer,
  StartPeriod: integer,
  StartInterval: integer,
});

const containerConfig = {
  Hostname: text,
  Domainname: text,
  User: text,
  AttachStdin: bool,
  AttachStdout: bool,
  AttachStderr: bool,
  ExposedPorts: map(anything),
  Tty: bool,
  OpenStdin: bool,
  StdinOnce: bool,
  Env: list(text),
  Cmd: words,
  Healthcheck: health,
  Image: text,
  Volumes: map(anything),
  WorkingDir: text,
  Entrypoint: words,
  NetworkDisabled: bool,
  MacAddress: text,
  OnBuild: list(text),
  Labels: map(text),
  StopSignal: text,
  StopTimeout: integer,
  Shell: list(text),
};

const mount = object({
  Type: text,
  Source: text,
  Target: text,
  ReadOnly: bool,
  Consistency: text,
  BindOptions: object({
    Propagation: text,
    NonRecursive: bool,
    CreateMountpoint: bool,
    ReadOnlyNonRecursive: bool,
    ReadOnlyForceRecursive: bool,
  }),
  VolumeOptions: object({
    NoCopy: bool,
    Labels: map(text),
    DriverConfig: object({ Name: text, Options: map(text) }),
    Subpath: text,
  }),
  TmpfsOptions: object({ SizeBytes: integer, Mode: integer, Options: list(list(text)) }),
});

const hostConfig = object({
  Binds: list(text),
  ContainerIDFile: text,
  LogConfig: object({ Type: text, Config: map(text) }),
  NetworkMode: text,
  PortBindings: map(nullable(list(portBinding))),
  RestartPolicy: object({ Name: text, MaximumRetryCount: integer }),
  AutoRemove: bool,
  VolumeDriver: text,
  VolumesFrom: list(text),
  Mounts: list(mount),
  ConsoleSize: list(integer),
  Annotations: map(text),
  CapAdd: words,
  CapDrop: words,
  CgroupnsMode: text,
  Dns: list(text),
  DnsOptions: list(text),
  DnsSearch: list(text),
  ExtraHosts: list(text),
  GroupAdd: list(text),
  IpcMode: text,
  Cgroup: text,
  Links: list(text),
  OomScoreAdj: integer,
  PidMode: text,
  Privileged: bool,
  PublishAllPorts: bool,
  ReadonlyRootfs: bool,
  SecurityOpt: list(text),
  StorageOpt: map(text),
  Tmpfs: map(text),
  UTSMode: text,
  UsernsMode: text,
  ShmSize: integer,
  Sysctls: map(text),
  Runtime: text,
  Isolation: text,
  MaskedPaths: list(text),
  ReadonlyPaths: list(text),
  Init: bool,
  CpuShares: integer,
  Memory: integer,
  CgroupParent: text,
  BlkioWeight: integer,
  BlkioWeightDevice: list(object({ Path: text, Weight: integer })),
  BlkioDeviceReadBps: throttle,
  BlkioDeviceWriteBps: throttle,
  BlkioDeviceReadIOps: throttle,
  BlkioDeviceWriteIOps: throttle,
  CpuPeriod: integer,
  CpuQuota: integer,
  CpuRealtimePeriod: integer,
  CpuRealtimeRuntime: integer,
  CpusetCpus: text,
  CpusetMems: text,
  Devices: list(object({ PathOnHost: text, PathInContainer: text, CgroupPermissions: text })),
  DeviceCgroupRules: list(text),
  DeviceRequests: list(anything),
  MemoryReservation: integer,
  MemorySwap: integer,
  MemorySwappiness: integer,
  NanoCpus: integer,
  OomKillDisable: bool,
  PidsLimit: integer,
  Ulimits: list(object({ Name: text, Soft: integer, Hard: integer })),
});

const endpoint = object({
  IPAMConfig: object({ IPv4Address: text, IPv6Address: text, LinkLocalIPs: list(text) }),
  Links: list(text),
  Aliases: list(text),
  DriverOpts: map(text),
  GwPriority: integer,
  NetworkID: text,
  EndpointID: text,
  IPAddress: text,
  MacAddress: text,
});

const createShape = object({
  ...containerConfig,
  HostConfig: hostConfig,
  NetworkingConfig: object({ EndpointsConfig: map(nullable(endpoint)) }),
});

const execShape = object({
  AttachStdin: bool,
  AttachStdout: bool,
  AttachStderr: bool,
  DetachKeys: text,
  Tty: bool,
  Env: list(text),
  Cmd: words,
  Privileged: bool,
  User: text,
  WorkingDir: text,
  ConsoleSize: list(integer),
});

/** @throws EngineError `invalid` */
export function parseCreateRequest(body: unknown): CreateRequest {
  if (body === null) throw new EngineError("invalid", "body", "config cannot be empty in order to create a container");
  const parsed = createShape(body, "CreateRequest");
  checkMounts(parsed.HostConfig?.Mounts ?? []);
  // The shapes above are those of the types; what they leave out is absent, which the types allow.
  return { ...parsed, Image: parsed.Image ?? "" } as unknown as CreateRequest;
}

function checkMounts(mounts: readonly { Type?: string; Target?: string }[]): void {
  for (const { Type, Target } of mounts) {
    if (Type === undefined || Type === "") throw new EngineError("invalid", "Mounts", "mount type unknown");
    if (Target === undefined || Target === "")
      throw new EngineError(
        "invalid",
        "Mounts",
        `invalid mount config for type "${Type}": field Target must not be empty`,
      );
  }
}

/** @throws EngineError `invalid` */
export function parseExecRequest(body: unknown): ExecCreateRequest {
  const parsed = execShape(body ?? {}, "ExecCreateRequest");
  return { ...parsed, Cmd: parsed.Cmd ?? [] } as ExecCreateRequest;
}

const execStartShape = object({ Detach: bool, Tty: bool, ConsoleSize: list(integer) });

export function parseExecStart(body: unknown): { Detach?: boolean; Tty?: boolean; ConsoleSize?: number[] } {
  return execStartShape(body ?? {}, "ExecStartRequest");
}

const volumeShape = object({ Name: text, Driver: text, DriverOpts: map(text), Labels: map(text) });

export function parseVolumeRequest(body: unknown): VolumeCreateRequest {
  return volumeShape(body ?? {}, "VolumeCreateRequest") as VolumeCreateRequest;
}
