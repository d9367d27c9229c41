import { rm } from "node:fs/promises";
import { EngineError } from "#base/errors.ts";
import { announce } from "./announce.ts";
import type { Container } from "./registry.ts";
import type { Rooms } from "./rooms.ts";
import { isLive } from "./state.ts";
import { killAndWait } from "./stop.ts";

/**
 * Removes a container; a live one only when forced.
 * @throws EngineError `conflict` with Docker's texts while it is live and `force` is not set
 */
export async function removeContainer(
  rooms: Rooms,
  container: Container,
  options: { force: boolean; removeVolumes: boolean },
): Promise<void> {
  if (isLive(container.state) || container.state.status === "restarting") {
    if (!options.force) throw new EngineError("conflict", container.id, refusal(container));
    container.keepOnExit = true;
    await killAndWait(rooms, container);
  }
  await rooms.locks.run(container.id, async () => {
    if (!rooms.registry.has(container.id)) return;
    if (isLive(container.state)) throw new EngineError("conflict", container.id, refusal(container));
    await removeFromDisk(rooms, container, { removeVolumes: options.removeVolumes, exitCode: 0 });
  });
}

function refusal(container: Container): string {
  const { status } = container.state;
  const way =
    status === "paused"
      ? "container is paused and must be unpaused first"
      : `container is ${status}: stop the container before removing or force remove`;
  return `cannot remove container "/${container.name}": ${way}`;
}

/**
 * Takes the row away, which is the removal; files, snapshot and what is left of the last task follow in the background.
 * After a crash the sweep at start finds them without an owner. Holds the container's lock.
 */
export async function removeFromDisk(
  rooms: Pick<Rooms, "registry" | "volumes" | "snapshots" | "logs" | "events" | "background" | "settings" | "log">,
  container: Container,
  options: { removeVolumes: boolean; exitCode: number },
): Promise<void> {
  const { registry, volumes, snapshots, logs, events, background, settings } = rooms;
  const { id, record } = container;
  registry.remove(container);
  container.streams.dismissAll();
  volumes.release(id);
  if (options.removeVolumes) await removeAnonymousVolumes(rooms, container);
  background.run(`remove ${id}`, async () => {
    await container.tearDown;
    await snapshots.remove(id);
    await logs.remove(id);
    await rm(settings.directory(id), { recursive: true, force: true });
  });
  announce(events, record.definition, "destroy");
  container.waiters.notify(["removed", "not-running", "next-exit"], { StatusCode: options.exitCode });
}

async function removeAnonymousVolumes(rooms: Pick<Rooms, "volumes" | "log">, container: Container): Promise<void> {
  for (const mount of container.record.mounts) {
    if (mount.Type !== "volume" || mount.Name === undefined || !rooms.volumes.isAnonymous(mount.Name)) continue;
    try {
      await rooms.volumes.remove(mount.Name);
    } catch (error) {
      // Another container may use it by --volumes-from; it keeps it then.
      rooms.log.debug("anonymous volume stays", { volume: mount.Name, error });
    }
  }
}
