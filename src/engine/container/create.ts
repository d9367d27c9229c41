import { rm } from "node:fs/promises";
import { hostname } from "node:os";
import { EngineError } from "#base/errors.ts";
import { newId } from "#base/ids.ts";
import type { CreateRequest, HostConfig } from "#spec/engine-api/container.ts";
import { announce } from "./announce.ts";
import type { ContainerDefinition } from "./container.ts";
import { completeHostConfig, mergeConfig } from "./defaults.ts";
import { generateName, parseName } from "./names.ts";
import { networkPeer, networkRequest } from "./network-request.ts";
import type { Rooms } from "./rooms.ts";

type Needs = Pick<
  Rooms,
  "registry" | "images" | "snapshots" | "networks" | "volumes" | "runtime" | "builder" | "events" | "settings" | "locks"
>;

/**
 * Makes a container: everything is checked first, then the snapshot and volumes are made, and the row comes last.
 * Durable on return. A crash before the row leaves only things without an owner, which the sweep at start removes.
 * @throws EngineError `not-found` "No such image: X"; `conflict` on a taken name; `invalid` for a bad configuration
 */
export async function createContainer(
  rooms: Needs,
  name: string | undefined,
  request: CreateRequest,
): Promise<{ Id: string; Warnings: string[] }> {
  const wantedName = name === undefined || name === "" ? undefined : parseName(name);
  const { registry } = rooms;
  // The lock makes "is the name free" and "the row is there" one step.
  return rooms.locks.run(`name:${wantedName ?? ""}`, async () => {
    if (wantedName !== undefined) registry.assertNameFree(wantedName);
    const image = await rooms.images.resolve(request.Image);
    const definition = define(rooms, wantedName, request, image);
    const warnings = rooms.builder.check(definition.config, definition.hostConfig);
    const peer = networkPeer(definition);
    if (peer === null) rooms.networks.check(networkRequest(definition));
    else registry.find(peer);

    await using undo = new AsyncDisposableStack();
    const { id } = definition;
    undo.defer(() => rooms.snapshots.remove(id));
    await rooms.snapshots.prepare(id, image.chain);
    undo.defer(async () => {
      rooms.volumes.release(id);
      await rm(rooms.settings.directory(id), { recursive: true, force: true });
    });
    const mounts = await rooms.builder.resolveMounts({
      id,
      config: definition.config,
      hostConfig: definition.hostConfig,
      volumesFrom: (other) => registry.find(other).record.mounts,
    });
    registry.add({
      definition,
      state: { status: "created", failure: null },
      mounts,
      sandbox: null,
      restartCount: 0,
      stopRequested: false,
    });
    undo.move();
    announce(rooms.events, definition, "create");
    return { Id: id, Warnings: warnings };
  });
}

function define(
  rooms: Pick<Rooms, "registry" | "runtime" | "settings">,
  name: string | undefined,
  request: CreateRequest,
  image: Awaited<ReturnType<Rooms["images"]["resolve"]>>,
): ContainerDefinition {
  const { HostConfig: hostConfig = {}, NetworkingConfig: networking = {}, ...config } = request;
  const id = newId();
  const complete = completeHostConfig(resolvePeers(rooms.registry, hostConfig), {
    runtime: rooms.runtime.name,
    cgroupVersion: rooms.settings.cgroupVersion,
  });
  return {
    id,
    name: name ?? generateName((candidate) => rooms.registry.isNameTaken(candidate)),
    createdAt: new Date().toISOString(),
    imageId: image.id,
    config: mergeConfig(
      config,
      image.config.config ?? {},
      id,
      complete.NetworkMode === "host" || complete.UTSMode === "host" ? hostname() : null,
    ),
    hostConfig: complete,
    networking,
  };
}

/** `container:NAME` becomes `container:ID`, so that a later rename does not change who is meant. */
function resolvePeers(registry: Rooms["registry"], hostConfig: HostConfig): HostConfig {
  const resolved: HostConfig = { ...hostConfig };
  for (const key of ["NetworkMode", "PidMode", "IpcMode", "UTSMode"] as const) {
    const mode = hostConfig[key];
    if (mode?.startsWith("container:") !== true) continue;
    const peer = mode.slice("container:".length);
    if (peer === "") throw new EngineError("invalid", mode, `invalid ${key}: ${mode}`);
    resolved[key] = `container:${registry.find(peer).id}`;
  }
  return resolved;
}
