import type { WaitCondition, WaitResult } from "#spec/engine-api/container.ts";

/** Those who wait for a container to stop, exit next, or be removed. Nothing is polled. */
export class Waiters {
  readonly #waiting = new Set<{ condition: WaitCondition; resolve: (result: WaitResult) => void }>();

  /** Settles at the next matching notice, or never resolves once `signal` aborts (it rejects with the abort's reason). */
  wait(condition: WaitCondition, signal: AbortSignal): Promise<WaitResult> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const entry = {
        condition,
        resolve: (result: WaitResult) => {
          signal.removeEventListener("abort", onAbort);
          resolve(result);
        },
      };
      const onAbort = () => {
        this.#waiting.delete(entry);
        reject(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.add(entry);
    });
  }

  notify(conditions: readonly WaitCondition[], result: WaitResult): void {
    for (const entry of this.#waiting) {
      if (!conditions.includes(entry.condition)) continue;
      this.#waiting.delete(entry);
      entry.resolve(result);
    }
  }
}
