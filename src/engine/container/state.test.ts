import { describe, expect, test } from "bun:test";
import { decideRestart, restartsWithDaemon } from "./restart-policy.ts";
import { type ContainerEvent, type ContainerState, next } from "./state.ts";

const at = "2026-01-01T00:00:00Z";
const exit = { code: 1, oomKilled: false, at, error: "" };
const task = { pid: 1, conmonPid: 2 };
const states: Record<string, ContainerState> = {
  created: { status: "created", failure: null },
  running: { status: "running", task, startedAt: at },
  paused: { status: "paused", task, startedAt: at },
  restarting: { status: "restarting", startedAt: at, exit },
  exited: { status: "exited", startedAt: at, exit },
};
const events: Record<string, ContainerEvent> = {
  start: { do: "start", task, at },
  fail: { do: "fail", exit },
  pause: { do: "pause" },
  unpause: { do: "unpause" },
  exit: { do: "exit", exit, restarting: false },
  "exit, again": { do: "exit", exit, restarting: true },
  "give-up": { do: "give-up" },
};

/** Every state and event: where it leads, or nothing where it is refused. */
const table: Record<string, Record<string, string>> = {
  created: { start: "running", fail: "created" },
  running: { pause: "paused", exit: "exited", "exit, again": "restarting" },
  paused: { unpause: "running", exit: "exited", "exit, again": "restarting" },
  restarting: { start: "running", fail: "exited", "give-up": "exited" },
  exited: { start: "running", fail: "exited" },
};

describe("the state machine", () => {
  const cases = Object.keys(states).flatMap((state) =>
    Object.keys(events).map((event) => [state, event, table[state]?.[event] ?? null] as const),
  );
  test.each(cases)("%s, %s: %s", (state, event, wanted) => {
    const [from, what] = [states[state], events[event]];
    if (from === undefined || what === undefined) throw new Error("no such case");
    if (wanted === null) expect(() => next(from, what)).toThrow(`cannot ${what.do} a container that is ${state}`);
    else expect(next(from, what).status).toBe(wanted as ContainerState["status"]);
  });
});

describe("restart policies", () => {
  const failed = { code: 1, ranMs: 50, stopRequested: false };
  test.each([
    // policy, exit, restarts so far, last delay, restarts?, delay
    [{ Name: "no" }, failed, 0, 0, false, 0],
    [{ Name: "always" }, { ...failed, code: 0 }, 9, 0, true, 100],
    [{ Name: "always" }, failed, 1, 100, true, 200],
    [{ Name: "always" }, failed, 20, 60_000, true, 60_000],
    [{ Name: "always" }, { ...failed, ranMs: 10_000 }, 20, 60_000, true, 100],
    [{ Name: "always" }, { ...failed, stopRequested: true }, 0, 0, false, 0],
    [{ Name: "unless-stopped" }, failed, 0, 0, true, 100],
    [{ Name: "on-failure" }, { ...failed, code: 0 }, 0, 0, false, 0],
    [{ Name: "on-failure", MaximumRetryCount: 2 }, failed, 1, 100, true, 200],
    [{ Name: "on-failure", MaximumRetryCount: 2 }, failed, 2, 200, false, 0],
  ] as const)("%j after %j", (policy, how, restartCount, lastDelayMs, restart, delayMs) => {
    expect(decideRestart(policy, how, { restartCount, lastDelayMs })).toEqual({ restart, delayMs });
  });

  test.each([
    ["always", { stopRequested: true, everStarted: true, code: 0, restartCount: 0 }, true],
    ["always", { stopRequested: false, everStarted: false, code: 0, restartCount: 0 }, false],
    ["unless-stopped", { stopRequested: true, everStarted: true, code: 0, restartCount: 0 }, false],
    ["unless-stopped", { stopRequested: false, everStarted: true, code: 0, restartCount: 0 }, true],
    ["on-failure", { stopRequested: false, everStarted: true, code: 255, restartCount: 0 }, true],
    ["no", { stopRequested: false, everStarted: true, code: 1, restartCount: 0 }, false],
  ] as const)("%s with the daemon, having been %j: %p", (name, was, wanted) => {
    expect(restartsWithDaemon({ Name: name }, was)).toBe(wanted);
  });
});
