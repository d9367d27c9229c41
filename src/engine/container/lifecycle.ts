import { allSettledOrThrow } from "#base/concurrency.ts";
import { EngineError, errorMessage } from "#base/errors.ts";
import type { SpecRequest } from "#engine/sandbox/sandbox.ts";
import type { NetworkSandbox } from "#subsystems/network/network.ts";
import type { Exit } from "#subsystems/runtime/runtime.ts";
import { announce } from "./announce.ts";
import { announceNetwork } from "./announce-network.ts";
import { logPolicy } from "./log-policy.ts";
import { joinPeerNetwork, networkPeer, networkRequest } from "./network-request.ts";
import type { Container } from "./registry.ts";
import { removeFromDisk } from "./remove.ts";
import { decideRestart } from "./restart-policy.ts";
import type { Rooms } from "./rooms.ts";
import { specRequest } from "./spec-request.ts";
import { type ExitRecord, isLive, next } from "./state.ts";

/**
 * How far a log may outgrow its policy before conmon begins it anew, losing what is in it. Rotation by the daemon comes
 * first, at every look; this bounds a flood while the daemon is away.
 */
const floodBytes = 128 * 1024 * 1024;

/** Starts tasks, follows them to their end, and starts them again where the policy says so. */
export class Lifecycle {
  #stopped = false;

  constructor(private readonly rooms: Rooms) {}

  /** @throws EngineError `not-modified` when it runs already; `conflict` when paused; what made the start fail otherwise */
  async start(container: Container): Promise<void> {
    await this.rooms.locks.run(container.id, async () => {
      this.#assertKnown(container);
      if (container.state.status === "paused") {
        throw new EngineError("conflict", container.id, "cannot start a paused container, try unpause instead");
      }
      if (container.state.status === "running") {
        throw new EngineError("not-modified", container.id, `container ${container.id} is already running`);
      }
      container.cancelRestart();
      container.lastDelayMs = 0;
      await this.#launch(container, 0);
    });
  }

  #assertKnown(container: Container): void {
    if (!this.rooms.registry.has(container.id)) {
      throw new EngineError("not-found", container.id, `No such container: ${container.id}`);
    }
  }

  /** The path of `run`. Holds the container's lock. On failure everything it made is gone, and the row says why. */
  async #launch(container: Container, restartCount: number): Promise<void> {
    const { rooms } = this;
    const { definition } = container.record;
    try {
      await container.tearDown;
      await using undo = new AsyncDisposableStack();
      const task = await this.#makeTask(container, undo);
      rooms.registry.transition(
        container,
        { do: "start", task, at: new Date().toISOString() },
        { stopRequested: false, restartCount },
      );
      undo.move();
    } catch (error) {
      container.streams.dismissAll();
      await this.#recordFailure(container, error);
      throw error;
    }
    announce(rooms.events, definition, "start");
    this.follow(container);
  }

  /** Resources first, each registered for undoing before it is made, then the process. */
  async #makeTask(container: Container, undo: AsyncDisposableStack): Promise<{ pid: number; conmonPid: number }> {
    const { registry, runtime, builder, snapshots, logs } = this.rooms;
    const { id, record } = container;
    const { config, hostConfig } = record.definition;
    const policy = logPolicy(hostConfig.LogConfig);
    undo.defer(() => runtime.unmountRootfs(id));
    undo.defer(() => runtime.delete(id));
    const pending = runtime.prepare({
      id,
      logPath: logs.path(id),
      logSizeMaxBytes: policy.maxSizeBytes * policy.maxFiles + floodBytes,
      terminal: config.Tty ?? false,
      openStdin: config.OpenStdin ?? false,
      stdinOnce: config.StdinOnce ?? false,
    });
    undo.defer(async () => pending.abandon());
    const [network, rootfs] = await allSettledOrThrow<[NetworkSandbox, string]>([
      this.#openNetwork(container, undo),
      snapshots.mounts(id).then((mounts) => runtime.mountRootfs(id, mounts)),
    ]);
    registry.note(container, { sandbox: network });
    undo.defer(async () => registry.note(container, { sandbox: null }));
    const request: SpecRequest = specRequest(this.rooms, container, network, rootfs);
    await builder.prepare(request);
    const spec = await builder.spec(request);
    const task = await pending.create(spec);
    await container.streams.connectAll(() => runtime.attach(id));
    await runtime.start(id);
    return task;
  }

  async #openNetwork(container: Container, undo: AsyncDisposableStack): Promise<NetworkSandbox> {
    const { networks, registry, events } = this.rooms;
    const { definition } = container.record;
    const peer = networkPeer(definition);
    if (peer !== null) return joinPeerNetwork(registry, peer);
    undo.defer(() => networks.close(container.id));
    const network = await networks.open(networkRequest(definition));
    announceNetwork(events, "connect", container.id, network);
    return network;
  }

  async #recordFailure(container: Container, error: unknown): Promise<void> {
    const { registry, log } = this.rooms;
    const message = errorMessage(error);
    log.error("container did not start", { container: container.id, error });
    const exit: ExitRecord = {
      code: startFailureCode(message),
      oomKilled: false,
      at: new Date().toISOString(),
      error: message,
    };
    registry.transition(container, { do: "fail", exit });
    container.waiters.notify(["next-exit", "not-running"], { StatusCode: exit.code, Error: { Message: message } });
    if (container.record.definition.hostConfig.AutoRemove === true) await this.#remove(container);
  }

  /** Watches a live task: log rotation, its end. Also called for those found running at the daemon's start. */
  follow(container: Container): void {
    const { rooms } = this;
    const { id } = container;
    rooms.logs.watch(id, logPolicy(container.record.definition.hostConfig.LogConfig), () =>
      rooms.runtime.reopenLog(id),
    );
    container.ended = rooms.runtime.wait(id).then((exit) => rooms.locks.run(id, () => this.#ended(container, exit)));
    container.ended.catch((error: unknown) => {
      if (!this.#stopped) rooms.log.error("lost track of a container", { container: id, error });
    });
  }

  /** The task has ended: row, news, waiters; then its resources go, and the policy decides what follows. Holds the lock. */
  async #ended(container: Container, exit: Exit): Promise<void> {
    const { registry, events } = this.rooms;
    if (!isLive(container.state)) return;
    const { definition, stopRequested, restartCount } = container.record;
    const ranMs = exit.at.getTime() - Date.parse(container.state.startedAt);
    const decision = decideRestart(
      definition.hostConfig.RestartPolicy,
      { code: exit.code, ranMs, stopRequested },
      { restartCount, lastDelayMs: container.lastDelayMs },
    );
    const restarting = decision.restart && !this.#stopped;
    const network = container.record.sandbox;
    const record: ExitRecord = { code: exit.code, oomKilled: exit.oomKilled, at: exit.at.toISOString(), error: "" };
    const removes = !restarting && definition.hostConfig.AutoRemove === true && !container.keepOnExit;
    // A row that is about to go need not say how the run ended; a crash in between finds the exit on disk.
    if (removes)
      container.record = {
        ...container.record,
        state: next(container.state, { do: "exit", exit: record, restarting }),
        sandbox: null,
      };
    else registry.transition(container, { do: "exit", exit: record, restarting }, { sandbox: null });
    if (exit.oomKilled) announce(events, definition, "oom");
    const duration = String(Math.max(0, Math.round(ranMs / 1000)));
    announce(events, definition, "die", { execDuration: duration, exitCode: String(exit.code) });
    this.#release(container, network);
    container.waiters.notify(restarting ? ["next-exit"] : ["next-exit", "not-running"], { StatusCode: exit.code });
    if (restarting) this.#scheduleRestart(container, decision.delayMs);
    else if (removes) await this.#remove(container, exit.code);
  }

  /** Host ports are free when this returns; the rest goes in the background, and `tearDown` tells when. */
  #release(container: Container, network: NetworkSandbox | null): void {
    const { networks, runtime, logs, events, background } = this.rooms;
    const { id } = container;
    logs.unwatch(id);
    const ownsNetwork = networkPeer(container.record.definition) === null;
    // Called here, not in the background: ports and rules go before the first wait in it.
    const closing = ownsNetwork ? networks.close(id) : Promise.resolve();
    if (ownsNetwork && network !== null) announceNetwork(events, "disconnect", id, network);
    container.tearDown = background.run(`release ${id}`, async () => {
      await allSettledOrThrow<[unknown, unknown]>([closing, runtime.delete(id).then(() => runtime.unmountRootfs(id))]);
    });
  }

  async #remove(container: Container, exitCode?: number): Promise<void> {
    try {
      await removeFromDisk(this.rooms, container, { removeVolumes: true, exitCode: exitCode ?? 0 });
    } catch (error) {
      this.rooms.log.error("cannot remove a container after its end", { container: container.id, error });
    }
  }

  #scheduleRestart(container: Container, delayMs: number): void {
    const { rooms } = this;
    container.lastDelayMs = delayMs;
    container.restartTimer = setTimeout(() => {
      container.restartTimer = null;
      void rooms.locks.run(container.id, async () => {
        if (container.state.status !== "restarting" || this.#stopped) return;
        await this.#launch(container, container.record.restartCount + 1).catch(() => {});
      });
    }, delayMs);
  }

  /** Starts a container because the daemon came up; failures are in its row and the log. */
  async revive(container: Container): Promise<void> {
    await this.rooms.locks
      .run(container.id, () => this.#launch(container, container.record.restartCount))
      .catch(() => {});
  }

  /** No restarts from now on; live tasks go on by themselves. */
  stop(): void {
    this.#stopped = true;
    for (const container of this.rooms.registry.all()) container.cancelRestart();
  }
}

/** Docker's exit code for a start that failed: 127 not found, 126 not executable, else 128. */
function startFailureCode(message: string): number {
  if (/executable file not found|no such file or directory/i.test(message)) return 127;
  if (/permission denied|is a directory/i.test(message)) return 126;
  return 128;
}
