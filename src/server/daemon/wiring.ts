/** The one place that picks implementations and puts the house together. */

import { randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "#base/log.ts";
import { programVersion } from "#base/version.ts";
import { type ContainerRoom, openContainerRegistry, openContainers } from "#engine/container/local-containers.ts";
import { createSandboxBuilder } from "#engine/sandbox/builder.ts";
import { Events } from "#engine/system/events.ts";
import { SystemInformation } from "#engine/system/information.ts";
import { containerRoutes } from "#server/api/routes/containers.ts";
import { execRoutes } from "#server/api/routes/exec.ts";
import { imageRoutes } from "#server/api/routes/images.ts";
import { networkRoutes } from "#server/api/routes/networks.ts";
import { swarmRoutes } from "#server/api/routes/swarm.ts";
import { systemRoutes } from "#server/api/routes/system.ts";
import { volumeRoutes } from "#server/api/routes/volumes.ts";
import { ApiServer } from "#server/api/server.ts";
import { apiVersionMax, apiVersionMin } from "#server/api/versions.ts";
import { openContentStore } from "#store/content/local-content.ts";
import { Metadata } from "#store/metadata/metadata.ts";
import { openOverlaySnapshotter } from "#store/snapshot/overlay-snapshotter.ts";
import type { ImageNews } from "#subsystems/image/image.ts";
import { openImages } from "#subsystems/image/local-images.ts";
import { openLogs } from "#subsystems/log/conmon-logs.ts";
import { openNetworks } from "#subsystems/network/local-networks.ts";
import { openRuntime } from "#subsystems/runtime/conmon-runtime.ts";
import { openVolumes, type VolumeNews } from "#subsystems/volume/local-volumes.ts";
import type { DaemonConfig } from "./config.ts";

export { lockDataRoot } from "#store/metadata/lock.ts";

export interface Engine {
  readonly api: ApiServer;
  readonly containers: ContainerRoom;
  /** Gives back what only a running daemon needs; live containers go on. */
  stop(): Promise<void>;
}

/** Opens every room, bottom up, and mends what a crash left. Nothing is served yet. */
export async function openEngine(config: DaemonConfig, log: Logger, isDebug: () => boolean): Promise<Engine> {
  const at = (name: string) => join(config.dataRoot, name);
  const events = new Events();
  const metadata = Metadata.open(at("skiff.db"));
  const registry = openContainerRegistry(metadata);
  const content = await openContentStore(at("content"));
  const snapshots = await openOverlaySnapshotter({ root: at("snapshots/overlay"), metadata, log });
  const images = await openImages({
    metadata,
    content,
    snapshots,
    users: { containersOf: (id) => registry.containersOf(id) },
    news: ({ action, id, name }: ImageNews) => events.publish({ type: "image", action, id, attributes: { name } }),
    log,
  });
  const volumes = await openVolumes({
    root: at("volumes"),
    metadata,
    log,
    news: ({ action, name, attributes }: VolumeNews) =>
      events.publish({ type: "volume", action, id: name, attributes }),
  });
  const networks = await openNetworks({
    metadata,
    execRoot: config.execRoot,
    bridgeName: config.bridge ?? config.names.bridge,
    tableName: config.names.table,
    linkPrefix: config.names.linkPrefix,
    bip: config.bip,
    useBridge: config.bridge !== undefined,
    log,
  });
  const directory = (id: string) => join(at("containers"), id);
  const logs = openLogs({ directory, log });
  const runtime = await openRuntime({
    execRoot: config.execRoot,
    preferred: config.defaultRuntime,
    cgroupParent: config.names.cgroupParent,
    favourQuickGroupChanges: config.favourQuickGroupChanges,
    log,
  });
  for (const notice of runtime.notices) log.info(notice);
  const containers = openContainers({
    registry,
    images,
    snapshots,
    networks,
    volumes,
    logs,
    runtime,
    builder: createSandboxBuilder({ volumes, log }),
    events,
    log,
    settings: { directory, cgroupParent: config.names.cgroupParent, cgroupVersion: runtime.cgroupVersion },
  });
  await containers.recover();
  await snapshots.sweep();
  for (const warning of networks.warnings()) log.warn(warning);
  const system = new SystemInformation({
    engineId: engineId(at("engine-id")),
    dataRoot: config.dataRoot,
    storageDriver: snapshots.driver,
    runtime,
    apiVersion: `1.${apiVersionMax}`,
    minApiVersion: `1.${apiVersionMin}`,
    debug: isDebug,
    counts: () => containers.counts(),
    listImages: () => images.list({ all: true, sharedSize: true }),
    listContainers: () => containers.list({ all: true, size: true, filters: {} }),
    listVolumes: async () => (await volumes.list()).Volumes,
    warnings: () => networks.warnings(),
    listeners: () => events.readerCount,
  });
  const api = new ApiServer({
    log,
    version: programVersion,
    routes: {
      ...systemRoutes({ events, system }),
      ...containerRoutes({ containers }),
      ...execRoutes({ containers }),
      ...imageRoutes({ images }),
      ...volumeRoutes({ volumes }),
      ...networkRoutes({ networks }),
      ...swarmRoutes,
    },
  });
  return {
    api,
    containers,
    async stop() {
      await containers.stopServing();
      logs.stop();
      await networks.stop();
      await runtime.stop();
      await snapshots.close();
      metadata.close();
    },
  };
}

/** The engine's id, the same for the life of a data-root. */
function engineId(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    const id = randomUUID();
    writeFileSync(path, `${id}\n`);
    return id;
  }
}
