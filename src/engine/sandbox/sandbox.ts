/**
 * The face of the sandbox room: what a container (or a build step) needs put together — file systems, files under /etc,
 * namespaces, limits — as one OCI runtime spec. Everything here is pure or works on a mounted rootfs by descriptor.
 */
import type { ContainerConfig, HostConfig, MountPoint, NetworkingConfig } from "#spec/engine-api/container.ts";
import type { RuntimeProcess, RuntimeSpec } from "#spec/oci/runtime.ts";
import type { NetworkSandbox } from "#subsystems/network/network.ts";

/** Of another container whose namespaces are joined (`--pid container:ID`). */
export interface PeerNamespaces {
  readonly pid?: number;
  readonly ipcPid?: number;
  readonly utsPid?: number;
}

export interface SpecRequest {
  readonly id: string;
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly networking: NetworkingConfig;
  readonly network: NetworkSandbox;
  /** The mounted root file system. */
  readonly rootfs: string;
  /** Directory that holds hosts, hostname, resolv.conf of this container; they are written by `writeEtcFiles`. */
  readonly filesDirectory: string;
  /** Volumes and binds, already resolved to host paths. */
  readonly mounts: readonly MountPoint[];
  readonly peers: PeerNamespaces;
  /** e.g. `/skiff-1a2b3c4d`. */
  readonly cgroupParent: string;
  readonly cgroupVersion: 1 | 2;
}

export interface SandboxBuilder {
  /**
   * Refuses what cannot be run before anything is acquired (memory under 6 MiB, unknown capability or security-opt,
   * bad ulimit, device, sysctl, mount …). @throws EngineError `invalid` in Docker's words
   * @returns warnings for the create response
   */
  check(config: ContainerConfig, hostConfig: HostConfig): string[];
  /** Turns Binds, Mounts, Tmpfs, image VOLUMEs and VolumesFrom into mount points, creating volumes. Used at create. */
  resolveMounts(request: {
    readonly id: string;
    readonly config: ContainerConfig;
    readonly hostConfig: HostConfig;
    readonly volumesFrom: (id: string) => readonly MountPoint[];
  }): Promise<MountPoint[]>;
  /** Writes hosts, hostname, resolv.conf; makes WORKDIR and mount targets; copies image content up into new volumes. */
  prepare(request: SpecRequest): Promise<void>;
  /** The config.json. @throws EngineError `invalid` for an unknown user, group, device … */
  spec(request: SpecRequest): Promise<RuntimeSpec>;
  /** The process of an exec in a running container, from its spec. */
  execProcess(request: {
    readonly container: SpecRequest;
    readonly cmd: readonly string[];
    readonly env: readonly string[];
    readonly user?: string;
    readonly workingDir?: string;
    readonly tty: boolean;
    readonly privileged: boolean;
    readonly consoleSize?: readonly [number, number];
  }): Promise<RuntimeProcess>;
}
