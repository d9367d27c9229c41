import type { RestartPolicy } from "#spec/engine-api/container.ts";

/** Docker's back-off: 100 ms, doubled at each restart, at most a minute; a run of 10 s or more starts it anew. */
const firstDelayMs = 100;
const delayMsMax = 60_000;
const settledAfterMs = 10_000;

export interface RestartDecision {
  readonly restart: boolean;
  readonly delayMs: number;
}

/**
 * Whether and when to start again after an exit. Pure.
 * @param stopRequested somebody asked for the stop; no policy restarts then
 * @param ranMs how long the container ran this time
 * @param lastDelayMs the delay before this run; 0 for a run that the user started
 */
export function decideRestart(
  policy: RestartPolicy | undefined,
  exit: { readonly code: number; readonly ranMs: number; readonly stopRequested: boolean },
  history: { readonly restartCount: number; readonly lastDelayMs: number },
): RestartDecision {
  const none = { restart: false, delayMs: 0 };
  if (policy === undefined || exit.stopRequested) return none;
  const again =
    exit.ranMs >= settledAfterMs || history.lastDelayMs === 0
      ? firstDelayMs
      : Math.min(history.lastDelayMs * 2, delayMsMax);
  switch (policy.Name) {
    case "always":
    case "unless-stopped":
      return { restart: true, delayMs: again };
    case "on-failure": {
      const limit = policy.MaximumRetryCount ?? 0;
      if (exit.code === 0 || (limit > 0 && history.restartCount >= limit)) return none;
      return { restart: true, delayMs: again };
    }
    default:
      return none;
  }
}

/** Whether a container that is not running is to be started when the daemon comes up. */
export function restartsWithDaemon(
  policy: RestartPolicy | undefined,
  was: {
    readonly stopRequested: boolean;
    readonly everStarted: boolean;
    readonly code: number;
    readonly restartCount: number;
  },
): boolean {
  if (policy === undefined || !was.everStarted) return false;
  if (policy.Name === "always") return true;
  if (policy.Name === "unless-stopped") return !was.stopRequested;
  if (policy.Name !== "on-failure" || was.stopRequested || was.code === 0) return false;
  const limit = policy.MaximumRetryCount ?? 0;
  return limit === 0 || was.restartCount < limit;
}
