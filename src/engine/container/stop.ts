import { EngineError, isEngineError } from "#base/errors.ts";
import { parseSignal } from "#base/signals.ts";
import { announce } from "./announce.ts";
import type { Container } from "./registry.ts";
import type { Rooms } from "./rooms.ts";
import { isLive } from "./state.ts";

type Needs = Pick<Rooms, "registry" | "runtime" | "events" | "locks">;

const killSignal = 9;
/** Docker's time between asking and killing. */
const stopTimeoutSecondsDefault = 10;
/** A process that SIGKILL does not end in this time hangs in the kernel. */
const killPatienceMs = 10_000;

/**
 * Asks, waits, kills. Returns when the row says that it has ended.
 * @throws EngineError `not-modified` when it does not run; `invalid` for an unknown signal
 */
export async function stopContainer(
  rooms: Needs,
  container: Container,
  options: { signal?: string; timeoutSeconds?: number },
): Promise<void> {
  const { config } = container.record.definition;
  const signal = parseSignal(options.signal || config.StopSignal || "SIGTERM");
  if (await giveUpRestart(rooms, container)) return;
  if (!isLive(container.state))
    throw new EngineError("not-modified", container.id, `container ${container.id} is already stopped`);
  rooms.registry.update(container, { stopRequested: true });
  const timeoutSeconds = options.timeoutSeconds ?? config.StopTimeout ?? stopTimeoutSecondsDefault;
  await sendSignal(rooms, container, signal);
  await thawForSignal(rooms, container);
  const ended = await endedWithin(container, timeoutSeconds < 0 ? null : timeoutSeconds * 1000);
  if (!ended) await killAndWait(rooms, container);
  announce(rooms.events, container.record.definition, "stop");
}

/** SIGKILL, and waits for the end. @throws EngineError `internal` when even that does not end it */
export async function killAndWait(rooms: Needs, container: Container): Promise<void> {
  if (await giveUpRestart(rooms, container)) return;
  if (!isLive(container.state)) return;
  rooms.registry.update(container, { stopRequested: true });
  await sendSignal(rooms, container, killSignal);
  await thawForSignal(rooms, container);
  if (!(await endedWithin(container, killPatienceMs))) {
    throw new EngineError(
      "internal",
      container.id,
      `tried to kill container ${container.id}, but did not receive an exit event`,
    );
  }
}

/**
 * `docker kill`. A signal that means the end holds back the restart policy.
 * @throws EngineError `conflict` when it does not run; `invalid` for an unknown signal
 */
export async function killContainer(rooms: Needs, container: Container, signalName: string | undefined): Promise<void> {
  const signal = parseSignal(signalName || "SIGKILL");
  if (!isLive(container.state)) {
    throw new EngineError(
      "conflict",
      container.id,
      `cannot kill container: ${container.id}: container ${container.id} is not running`,
    );
  }
  if (signal === killSignal) return killAndWait(rooms, container);
  const stopSignal = parseSignal(container.record.definition.config.StopSignal || "SIGTERM");
  if (signal === stopSignal) rooms.registry.update(container, { stopRequested: true });
  await sendSignal(rooms, container, signal);
}

async function sendSignal(rooms: Needs, container: Container, signal: number): Promise<void> {
  try {
    await rooms.runtime.kill(container.id, signal);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
  announce(rooms.events, container.record.definition, "kill", { signal: String(signal) });
}

/** A frozen process takes its signal only when thawed. */
async function thawForSignal(rooms: Needs, container: Container): Promise<void> {
  if (container.state.status !== "paused") return;
  try {
    await rooms.runtime.resume(container.id);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/** A container between two runs is stopped by not starting it again. @returns whether that was the case */
async function giveUpRestart(rooms: Needs, container: Container): Promise<boolean> {
  return rooms.locks.run(container.id, async () => {
    if (container.state.status !== "restarting") return false;
    const { code } = container.state.exit;
    container.cancelRestart();
    rooms.registry.transition(container, { do: "give-up" }, { stopRequested: true });
    container.waiters.notify(["not-running"], { StatusCode: code });
    return true;
  });
}

async function endedWithin(container: Container, timeoutMs: number | null): Promise<boolean> {
  const ended = (container.ended ?? Promise.resolve()).then(() => true);
  if (timeoutMs === null) return ended;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  try {
    return await Promise.race([ended, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether a refused signal only means that the task is gone already. */
function isGone(error: unknown): boolean {
  return isEngineError(error, "conflict") || isEngineError(error, "not-found");
}
