import { EngineError } from "#base/errors.ts";

/** How a run of the container ended. JSON-safe. */
export interface ExitRecord {
  /** 0–255; 128+signal; 126, 127, 128 when it could not be started. */
  readonly code: number;
  readonly oomKilled: boolean;
  /** RFC 3339, nanoseconds as Docker prints them. */
  readonly at: string;
  /** Why it could not be started; empty otherwise. */
  readonly error: string;
}

/** What a live task is known by. */
export interface TaskRecord {
  readonly pid: number;
  readonly conmonPid: number;
}

/**
 * The life of a container. Each state carries what exists in it and nothing else.
 * `restarting` waits for the restart policy's back-off.
 */
export type ContainerState =
  | { readonly status: "created"; readonly failure: ExitRecord | null }
  | { readonly status: "running" | "paused"; readonly task: TaskRecord; readonly startedAt: string }
  | { readonly status: "restarting" | "exited"; readonly startedAt: string; readonly exit: ExitRecord };

export type ContainerEvent =
  | { readonly do: "start"; readonly task: TaskRecord; readonly at: string }
  | { readonly do: "fail"; readonly exit: ExitRecord }
  | { readonly do: "pause" }
  | { readonly do: "unpause" }
  | { readonly do: "exit"; readonly exit: ExitRecord; readonly restarting: boolean }
  | { readonly do: "give-up" };

/** Pure: no clock, no I/O. Every change of state goes through here; effects happen around it. @throws EngineError `conflict` */
export function next(now: ContainerState, event: ContainerEvent): ContainerState {
  switch (event.do) {
    case "start":
      if (now.status === "created" || now.status === "exited" || now.status === "restarting") {
        return { status: "running", task: event.task, startedAt: event.at };
      }
      break;
    case "fail":
      if (now.status === "created") return { status: "created", failure: event.exit };
      if (now.status === "exited" || now.status === "restarting") {
        return { status: "exited", startedAt: now.startedAt, exit: event.exit };
      }
      break;
    case "pause":
      if (now.status === "running") return { ...now, status: "paused" };
      break;
    case "unpause":
      if (now.status === "paused") return { ...now, status: "running" };
      break;
    case "exit":
      if (now.status === "running" || now.status === "paused") {
        return { status: event.restarting ? "restarting" : "exited", startedAt: now.startedAt, exit: event.exit };
      }
      break;
    case "give-up":
      if (now.status === "restarting") return { ...now, status: "exited" };
      break;
    default:
      event satisfies never;
  }
  throw new EngineError("conflict", now.status, `cannot ${event.do} a container that is ${now.status}`);
}

/** Whether a task of the container is alive. */
export function isLive(state: ContainerState): state is Extract<ContainerState, { task: TaskRecord }> {
  return state.status === "running" || state.status === "paused";
}

/** The last exit known, null before the first. */
export function lastExit(state: ContainerState): ExitRecord | null {
  switch (state.status) {
    case "created":
      return state.failure;
    case "exited":
    case "restarting":
      return state.exit;
    default:
      return null;
  }
}
