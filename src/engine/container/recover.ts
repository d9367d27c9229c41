import { readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { NetworkSandbox } from "#subsystems/network/network.ts";
import { announce } from "./announce.ts";
import type { Lifecycle } from "./lifecycle.ts";
import { type Container, unseenExit } from "./registry.ts";
import { removeFromDisk } from "./remove.ts";
import { restartsWithDaemon } from "./restart-policy.ts";
import type { Rooms } from "./rooms.ts";
import { isLive, lastExit } from "./state.ts";

/**
 * Brings rows and kernel together after the daemon was away: live tasks are followed again, ends that came meanwhile are
 * noted, what nobody owns is removed, and restart policies go on. Runs before the API is served; restarts follow it.
 */
export async function recoverContainers(rooms: Rooms, lifecycle: Lifecycle): Promise<void> {
  const { registry, runtime, networks } = rooms;
  const found = await runtime.recover(registry.all().map((container) => container.id));
  const live: Container[] = [];
  const ended: Container[] = [];
  for (const container of registry.all()) {
    const kernel = found.get(container.id) ?? { state: "gone" as const };
    if (kernel.state === "running" || kernel.state === "paused") {
      adopt(rooms, container, kernel);
      live.push(container);
    } else if (isLive(container.state)) {
      noteEnd(
        rooms,
        container,
        kernel.state === "exited"
          ? { ...kernel.exit, at: kernel.exit.at.toISOString(), error: "" }
          : unseenExit(new Date().toISOString()),
      );
      ended.push(container);
    } else if (container.record.sandbox !== null) {
      registry.update(container, { sandbox: null });
    }
  }
  await networks.recover(sandboxesOf(live));
  for (const container of registry.all()) if (!live.includes(container)) await giveBack(rooms, container);
  await removeOrphans(rooms);
  for (const container of live) lifecycle.follow(container);
  for (const container of ended) {
    if (container.record.definition.hostConfig.AutoRemove !== true) continue;
    await removeFromDisk(rooms, container, { removeVolumes: true, exitCode: lastExit(container.state)?.code ?? 0 });
  }
}

/** A crash between the start of a task and its row leaves a live task that the row does not know yet. */
function adopt(
  rooms: Rooms,
  container: Container,
  kernel: { state: "running" | "paused"; pid: number; conmonPid: number },
): void {
  const { registry } = rooms;
  if (!isLive(container.state)) {
    const task = { pid: kernel.pid, conmonPid: kernel.conmonPid };
    registry.transition(container, { do: "start", task, at: new Date().toISOString() });
  }
  if (container.state.status === kernel.state) return;
  registry.transition(container, { do: kernel.state === "paused" ? "pause" : "unpause" });
}

function noteEnd(rooms: Rooms, container: Container, exit: ReturnType<typeof unseenExit>): void {
  rooms.registry.transition(container, { do: "exit", exit, restarting: false }, { sandbox: null });
  announce(rooms.events, container.record.definition, "die", { exitCode: String(exit.code) });
}

function sandboxesOf(live: readonly Container[]): Map<string, NetworkSandbox> {
  const sandboxes = new Map<string, NetworkSandbox>();
  for (const container of live) {
    const { sandbox } = container.record;
    if (sandbox !== null) sandboxes.set(container.id, sandbox);
  }
  return sandboxes;
}

async function giveBack(rooms: Rooms, container: Container): Promise<void> {
  await rooms.runtime.delete(container.id);
  await rooms.runtime.unmountRootfs(container.id);
}

/** Snapshots, files and volume uses of containers that have no row. */
async function removeOrphans(rooms: Rooms): Promise<void> {
  const { registry, snapshots, volumes, settings, log } = rooms;
  for (const snapshot of await snapshots.list()) {
    if (snapshot.kind !== "active" || registry.has(snapshot.name)) continue;
    log.info("removing the snapshot of a container that is gone", { snapshot: snapshot.name });
    await snapshots.remove(snapshot.name);
  }
  const directory = dirname(settings.directory("x"));
  for (const name of await readdir(directory).catch(() => [])) {
    if (!registry.has(name)) await rm(join(directory, name), { recursive: true, force: true });
  }
  volumes.retain(new Set(registry.all().map((container) => container.id)));
}

/** Starts what its restart policy wants up. Called once the API is served; starts run side by side. */
export async function reviveContainers(rooms: Pick<Rooms, "registry">, lifecycle: Lifecycle): Promise<void> {
  const due = rooms.registry.all().filter((container) => {
    const { state, record } = container;
    if (isLive(state)) return false;
    return (
      state.status === "restarting" ||
      restartsWithDaemon(record.definition.hostConfig.RestartPolicy, {
        stopRequested: record.stopRequested,
        everStarted: state.status !== "created",
        code: lastExit(state)?.code ?? 0,
        restartCount: record.restartCount,
      })
    );
  });
  await Promise.all(due.map((container) => lifecycle.revive(container)));
}
