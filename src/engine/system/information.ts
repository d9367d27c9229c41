import { readFileSync } from "node:fs";
import { arch, cpus, hostname, release, totalmem } from "node:os";
import { programCommit, programVersion } from "#base/version.ts";
import type { ContainerSummary } from "#spec/engine-api/container.ts";
import type { ImageSummary } from "#spec/engine-api/image.ts";
import type { Volume } from "#spec/engine-api/volume.ts";
import { hostPlatform } from "#spec/oci/parse.ts";

/** What the daemon knows of itself; given by the wiring. */
export interface SystemFacts {
  readonly engineId: string;
  readonly dataRoot: string;
  readonly storageDriver: string;
  readonly runtime: { readonly name: string; readonly cgroupVersion: 1 | 2 };
  readonly apiVersion: string;
  readonly minApiVersion: string;
  readonly debug: () => boolean;
  readonly counts: () => { total: number; running: number; paused: number; stopped: number };
  readonly listImages: () => Promise<ImageSummary[]>;
  readonly listContainers: () => Promise<ContainerSummary[]>;
  readonly listVolumes: () => Promise<Volume[]>;
  /** Faults of the host that users should know of. */
  readonly warnings: () => string[];
  readonly listeners: () => number;
}

/** GET /version, /info and /system/df. Field names and meanings are Docker's. */
export class SystemInformation {
  readonly #startedAt = new Date().toISOString();

  constructor(private readonly facts: SystemFacts) {}

  version(): object {
    const { facts } = this;
    const common = {
      Version: programVersion,
      ApiVersion: facts.apiVersion,
      MinAPIVersion: facts.minApiVersion,
      GitCommit: programCommit,
      GoVersion: `bun${Bun.version}`,
      Os: "linux",
      Arch: hostPlatform().architecture,
      KernelVersion: release(),
      BuildTime: this.#startedAt,
    };
    const details = { ...common, Experimental: "false" };
    return {
      Platform: { Name: "Skiff" },
      Components: [{ Name: "Engine", Version: programVersion, Details: details }],
      ...common,
    };
  }

  async info(): Promise<object> {
    const { facts } = this;
    const counts = facts.counts();
    const images = await facts.listImages();
    const { runtime } = facts;
    return {
      ID: facts.engineId,
      Containers: counts.total,
      ContainersRunning: counts.running,
      ContainersPaused: counts.paused,
      ContainersStopped: counts.stopped,
      Images: images.length,
      Driver: facts.storageDriver,
      DriverStatus: [["Backing Filesystem", "extfs"]],
      Plugins: { Volume: ["local"], Network: ["bridge", "host", "null"], Authorization: null, Log: ["local", "none"] },
      MemoryLimit: true,
      SwapLimit: true,
      CpuCfsPeriod: true,
      CpuCfsQuota: true,
      CPUShares: true,
      CPUSet: true,
      PidsLimit: true,
      IPv4Forwarding: true,
      OomKillDisable: runtime.cgroupVersion === 1,
      Debug: facts.debug(),
      NFd: 0,
      NGoroutines: 0,
      SystemTime: new Date().toISOString(),
      LoggingDriver: "local",
      CgroupDriver: "cgroupfs",
      CgroupVersion: String(runtime.cgroupVersion),
      NEventsListener: facts.listeners(),
      KernelVersion: release(),
      OperatingSystem: operatingSystem(),
      OSVersion: osRelease("VERSION_ID"),
      OSType: "linux",
      Architecture: arch() === "x64" ? "x86_64" : arch() === "arm64" ? "aarch64" : arch(),
      IndexServerAddress: "",
      RegistryConfig: { InsecureRegistryCIDRs: ["127.0.0.0/8"], IndexConfigs: {}, Mirrors: null },
      NCPU: cpus().length,
      MemTotal: totalmem(),
      GenericResources: null,
      DockerRootDir: facts.dataRoot,
      HttpProxy: "",
      HttpsProxy: "",
      NoProxy: "",
      Name: hostname(),
      Labels: [],
      ExperimentalBuild: false,
      ServerVersion: programVersion,
      Runtimes: { [runtime.name]: { path: runtime.name } },
      DefaultRuntime: runtime.name,
      Swarm: {
        NodeID: "",
        NodeAddr: "",
        LocalNodeState: "inactive",
        ControlAvailable: false,
        Error: "",
        RemoteManagers: null,
      },
      LiveRestoreEnabled: true,
      Isolation: "",
      InitBinary: "docker-init",
      ContainerdCommit: { ID: "" },
      RuncCommit: { ID: "" },
      InitCommit: { ID: "" },
      SecurityOptions: ["name=seccomp,profile=builtin", ...(runtime.cgroupVersion === 2 ? ["name=cgroupns"] : [])],
      Warnings: facts.warnings(),
    };
  }

  async diskUsage(): Promise<object> {
    const [images, containers, volumes] = await Promise.all([
      this.facts.listImages(),
      this.facts.listContainers(),
      this.facts.listVolumes(),
    ]);
    return {
      LayersSize: images.reduce((sum, image) => sum + image.Size, 0),
      Images: images,
      Containers: containers,
      Volumes: volumes,
      BuildCache: [],
    };
  }
}

function osRelease(key: string): string {
  try {
    const line = readFileSync("/etc/os-release", "utf8")
      .split("\n")
      .find((text) => text.startsWith(`${key}=`));
    return line?.slice(key.length + 1).replace(/^"|"$/g, "") ?? "";
  } catch {
    return "";
  }
}

function operatingSystem(): string {
  return osRelease("PRETTY_NAME") || "Linux";
}
