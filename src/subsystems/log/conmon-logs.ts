import { mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "#base/log.ts";
import type { StreamChunk } from "#spec/engine-api/frame.ts";
import type { LogPolicy, LogQuery, Logs } from "./log.ts";
import { logFiles, rotate } from "./log-files.ts";
import { readLog } from "./read-log.ts";

/** How often sizes are looked at. A file can outgrow `maxSizeBytes` by what is written in between. */
const checkMs = 500;

interface Watched {
  readonly policy: LogPolicy;
  readonly reopen: () => void;
}

/** Opens the log room. @param options.directory the container's own directory under the data-root */
export function openLogs(options: { directory: (containerId: string) => string; log: Logger }): Logs {
  return new ConmonLogs(options.directory, options.log);
}

class ConmonLogs implements Logs {
  readonly #watched = new Map<string, Watched>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(
    private readonly directory: (containerId: string) => string,
    private readonly log: Logger,
  ) {
    this.#timer = setInterval(() => this.#rotateLarge(), checkMs);
    this.#timer.unref();
  }

  path(containerId: string): string {
    return join(this.directory(containerId), "container.log");
  }

  watch(containerId: string, policy: LogPolicy, reopen: () => void): void {
    this.#watched.set(containerId, { policy, reopen });
  }

  unwatch(containerId: string): void {
    this.#watched.delete(containerId);
  }

  #rotateLarge(): void {
    for (const [id, { policy, reopen }] of this.#watched) {
      const path = this.path(id);
      try {
        const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
        if (size < policy.maxSizeBytes) continue;
        rotate(path, policy.maxFiles);
        reopen();
      } catch (error) {
        this.log.warn("cannot rotate a log", { container: id, error });
      }
    }
  }

  async *read(
    containerId: string,
    query: LogQuery,
    ended: Promise<void> | null,
    signal: AbortSignal,
  ): AsyncGenerator<StreamChunk> {
    mkdirSync(this.directory(containerId), { recursive: true, mode: 0o700 });
    yield* readLog(this.path(containerId), query, ended, signal);
  }

  async remove(containerId: string): Promise<void> {
    this.unwatch(containerId);
    for (const file of logFiles(this.path(containerId))) rmSync(file, { force: true });
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#watched.clear();
  }
}
