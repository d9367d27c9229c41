import { type FSWatcher, mkdirSync, readdirSync, readFileSync, rmSync, statSync, watch } from "node:fs";
import { join } from "node:path";
import { type Deferred, deferred } from "#base/concurrency.ts";

/** What conmon notes when a container ends. */
export interface NotedExit {
  readonly code: number;
  readonly at: Date;
}

/** conmon that was killed writes nothing; the files are compared with what is waited for this often. */
const reconcileMs = 5_000;

/**
 * The directory into which every conmon writes its container's exit code, as a file named by the container's id. The
 * files outlive the daemon: an end that came while it was away is found at the next look.
 */
export class ExitFiles {
  readonly #waiting = new Map<string, Deferred<NotedExit>>();
  readonly #watcher: FSWatcher;
  readonly #timer: ReturnType<typeof setInterval>;

  /** @param isLost whether the monitor of a container that is waited for is gone without a note */
  constructor(
    readonly directory: string,
    private readonly isLost: (id: string) => boolean,
  ) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#watcher = watch(directory, (_, name) => {
      if (typeof name === "string") this.#look(name);
      else this.#reconcile();
    });
    this.#timer = setInterval(() => this.#reconcile(), reconcileMs);
    this.#timer.unref();
  }

  /** The exit that is on disk. */
  read(id: string): NotedExit | null {
    const path = join(this.directory, id);
    try {
      const text = readFileSync(path, "utf8");
      if (!/^-?\d+\s*$/.test(text)) return null;
      return { code: Number(text) & 0xff, at: statSync(path).mtime };
    } catch {
      return null;
    }
  }

  /** Settles at the container's end; at once when it has ended. */
  wait(id: string): Promise<NotedExit> {
    const noted = this.read(id);
    if (noted !== null) return Promise.resolve(noted);
    const waiting = this.#waiting.get(id) ?? deferred<NotedExit>();
    this.#waiting.set(id, waiting);
    // The file may have come between the look and the entry.
    this.#look(id);
    return waiting.promise;
  }

  #look(id: string): void {
    const waiting = this.#waiting.get(id);
    const noted = waiting === undefined ? null : this.read(id);
    if (noted === null) return;
    this.#waiting.delete(id);
    waiting?.resolve(noted);
  }

  #reconcile(): void {
    for (const [id, waiting] of this.#waiting) {
      this.#look(id);
      if (!this.#waiting.has(id) || !this.isLost(id) || this.read(id) !== null) continue;
      this.#waiting.delete(id);
      waiting.resolve({ code: 137, at: new Date() });
    }
  }

  forget(id: string): void {
    rmSync(join(this.directory, id), { force: true });
    this.#waiting.delete(id);
  }

  ids(): string[] {
    return readdirSync(this.directory).filter((name) => /^[0-9a-f]{64}$/.test(name));
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#watcher.close();
  }
}
