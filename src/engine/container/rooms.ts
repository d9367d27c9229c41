import type { Background, KeyedMutex } from "#base/concurrency.ts";
import type { Logger } from "#base/log.ts";
import type { SandboxBuilder } from "#engine/sandbox/sandbox.ts";
import type { Events } from "#engine/system/events.ts";
import type { Snapshotter } from "#store/snapshot/snapshot.ts";
import type { Images } from "#subsystems/image/image.ts";
import type { Logs } from "#subsystems/log/log.ts";
import type { Networks } from "#subsystems/network/network.ts";
import type { Runtime } from "#subsystems/runtime/runtime.ts";
import type { Volumes } from "#subsystems/volume/volume.ts";
import type { ContainerRegistry } from "./registry.ts";

/** What the use-cases of containers stand on. Each takes a `Pick` of these: what it names is what it can reach. */
export interface Rooms {
  readonly registry: ContainerRegistry;
  readonly images: Images;
  readonly snapshots: Snapshotter;
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly logs: Logs;
  readonly runtime: Runtime;
  readonly builder: SandboxBuilder;
  readonly events: Events;
  readonly log: Logger;
  /** Serialises changes of one container. */
  readonly locks: KeyedMutex;
  /** Tear-down that follows an answer. */
  readonly background: Background;
  readonly settings: ContainerSettings;
}

export interface ContainerSettings {
  /** `<data-root>/containers/<id>`: files under /etc, logs. */
  readonly directory: (containerId: string) => string;
  /** `/skiff` or `/skiff-<tag>`. */
  readonly cgroupParent: string;
  readonly cgroupVersion: 1 | 2;
}
