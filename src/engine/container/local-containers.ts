import { Background, KeyedMutex } from "#base/concurrency.ts";
import { EngineError } from "#base/errors.ts";
import type { WaitCondition, WaitResult } from "#spec/engine-api/container.ts";
import type { Metadata } from "#store/metadata/metadata.ts";
import { announce } from "./announce.ts";
import { attachContainer } from "./attach.ts";
import type { Containers, LogsOptions } from "./container.ts";
import { createContainer } from "./create.ts";
import { Execs } from "./exec.ts";
import { inspectContainer } from "./inspect.ts";
import { Lifecycle } from "./lifecycle.ts";
import { listContainers } from "./list.ts";
import { parseName } from "./names.ts";
import { pruneContainers } from "./prune.ts";
import { recoverContainers, reviveContainers } from "./recover.ts";
import { type Container, ContainerRegistry } from "./registry.ts";
import { removeContainer } from "./remove.ts";
import type { Rooms } from "./rooms.ts";
import { isLive, lastExit } from "./state.ts";
import { killContainer, stopContainer } from "./stop.ts";

/** What the daemon needs of the container room beyond the use-cases. */
export interface ContainerRoom extends Containers {
  /** Compares rows and kernel and mends the difference. Once, before anything is served. */
  recover(): Promise<void>;
  /** Starts what its restart policy wants up. */
  revive(): Promise<void>;
  /** No restarts any more; waits for tear-down under way. Live containers go on. */
  stopServing(): Promise<void>;
  /** How many containers exist and live. */
  counts(): { total: number; running: number; paused: number; stopped: number };
}

/** The registry is opened first: images ask it who uses them. */
export function openContainerRegistry(metadata: Metadata): ContainerRegistry {
  return new ContainerRegistry(metadata);
}

/** Puts the use-cases of containers together. */
export function openContainers(given: Omit<Rooms, "locks" | "background">): ContainerRoom {
  const rooms: Rooms = {
    ...given,
    locks: new KeyedMutex(),
    background: new Background((what, error) => given.log.error("tear-down failed", { what, error })),
  };
  const { registry, runtime, events } = rooms;
  const lifecycle = new Lifecycle(rooms);
  const execs = new Execs(rooms);
  const find = (id: string): Container => registry.find(id);

  const changeFreeze = async (id: string, wanted: "pause" | "unpause"): Promise<void> => {
    const container = find(id);
    await rooms.locks.run(container.id, async () => {
      assertCanFreeze(container, wanted);
      if (wanted === "pause") await runtime.pause(container.id);
      else await runtime.resume(container.id);
      registry.transition(container, { do: wanted });
      announce(events, container.record.definition, wanted);
    });
  };

  return {
    create: (name, request) => createContainer(rooms, name, request),
    start: (id) => lifecycle.start(find(id)),
    stop: (id, options) => stopContainer(rooms, find(id), options),
    async restart(id, options) {
      const container = find(id);
      container.keepOnExit = true;
      try {
        if (isLive(container.state) || container.state.status === "restarting")
          await stopContainer(rooms, container, options);
        await lifecycle.start(container);
      } finally {
        container.keepOnExit = false;
      }
      announce(events, container.record.definition, "restart");
    },
    kill: (id, signal) => killContainer(rooms, find(id), signal),
    pause: (id) => changeFreeze(id, "pause"),
    unpause: (id) => changeFreeze(id, "unpause"),
    async rename(id, name) {
      const container = find(id);
      const newName = parseName(name);
      const oldName = container.name;
      if (newName === oldName) {
        throw new EngineError("invalid", name, "Renaming a container with the same name as its current name");
      }
      registry.redefine(container, { ...container.record.definition, name: newName });
      announce(events, container.record.definition, "rename", { oldName: `/${oldName}` });
    },
    remove: (id, options) => removeContainer(rooms, find(id), options),
    wait: (id, condition, signal) => waitFor(find(id), condition, signal),
    list: (options) => listContainers(rooms, options),
    inspect(id, options = {}) {
      const container = find(id);
      return inspectContainer({ ...rooms, execIds: execs.runningIn(container.id) }, container, options);
    },
    attach: async (id, options) => attachContainer(rooms, find(id), options),
    logs: async (id, options, signal) => readLogs(rooms, find(id), options, signal),
    async resize(id, width, height) {
      const container = find(id);
      assertLive(container);
      await runtime.resize(container.id, width, height);
      announce(events, container.record.definition, "resize", { height: String(height), width: String(width) });
    },
    async top(id, psArgs) {
      const container = find(id);
      assertLive(container);
      const { titles, processes } = await runtime.top(
        container.id,
        psArgs.split(/\s+/).filter((word) => word !== ""),
      );
      announce(events, container.record.definition, "top");
      return { Titles: titles, Processes: processes };
    },
    prune: (filters) => pruneContainers(rooms, filters),
    execCreate: async (id, request) => execs.create(find(id), request),
    execStart: (execId, options) => execs.start(execId, options),
    execResize: async (execId, width, height) => execs.resize(execId, width, height),
    execInspect: async (execId) => execs.inspect(execId),
    recover: () => recoverContainers(rooms, lifecycle),
    revive: () => reviveContainers(rooms, lifecycle),
    async stopServing() {
      lifecycle.stop();
      await rooms.background.drain();
    },
    counts() {
      const all = registry.all();
      const paused = all.filter((container) => container.state.status === "paused").length;
      const running = all.filter(
        (container) => container.state.status === "running" || container.state.status === "restarting",
      ).length;
      return { total: all.length, running, paused, stopped: all.length - running - paused };
    },
  };
}

function assertLive(container: Container): void {
  if (!isLive(container.state))
    throw new EngineError("conflict", container.id, `container ${container.id} is not running`);
}

function assertCanFreeze(container: Container, wanted: "pause" | "unpause"): void {
  const { status } = container.state;
  if (wanted === "unpause") {
    if (status !== "paused") throw new EngineError("conflict", container.id, `Container ${container.id} is not paused`);
    return;
  }
  if (status === "paused")
    throw new EngineError("conflict", container.id, `container ${container.id} is already paused`);
  if (status === "restarting")
    throw new EngineError(
      "conflict",
      container.id,
      `container ${container.id} is restarting, wait until the container is running`,
    );
  if (status !== "running") throw new EngineError("conflict", container.id, `container ${container.id} is not running`);
}

async function waitFor(container: Container, condition: WaitCondition, signal: AbortSignal): Promise<WaitResult> {
  const waiting = condition === "not-running" && !isLive(container.state) && container.state.status !== "restarting";
  if (!waiting) return container.waiters.wait(condition, signal);
  return { StatusCode: lastExit(container.state)?.code ?? 0 };
}

function readLogs(rooms: Pick<Rooms, "logs">, container: Container, options: LogsOptions, signal: AbortSignal) {
  const driver = container.record.definition.hostConfig.LogConfig?.Type;
  if (driver === "none") {
    throw new EngineError("unsupported", container.id, "configured logging driver does not support reading");
  }
  if (!options.stdout && !options.stderr) {
    throw new EngineError("invalid", container.id, "Bad parameters: you must choose at least one stream");
  }
  const ended = options.follow && isLive(container.state) ? container.ended : null;
  const query = { ...options, follow: ended !== null };
  return {
    terminal: container.record.definition.config.Tty ?? false,
    chunks: rooms.logs.read(container.id, query, ended, signal),
  };
}
