import { setImmediate as nextTurn } from "node:timers/promises";

/** Runs work for the same key one after the other, in order of arrival; different keys run side by side. */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<unknown>>();

  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const mine = before.then(work, work);
    const settled = mine.then(
      () => {},
      () => {},
    );
    this.#tails.set(key, settled);
    try {
      return await mine;
    } finally {
      if (this.#tails.get(key) === settled) this.#tails.delete(key);
    }
  }
}

/** Lets at most `limit` pieces of work run at once. */
export class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number) {
    this.#free = limit;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

/** A promise with its resolvers, settled at most once. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

export function deferred<T>(): Deferred<T> {
  return Promise.withResolvers<T>();
}

/** Waits until all have settled, then gives their values or throws the first failure: nothing is still running then. */
export async function allSettledOrThrow<T extends readonly unknown[]>(
  work: readonly [...{ [K in keyof T]: Promise<T[K]> }],
): Promise<T> {
  const outcomes = await Promise.allSettled(work);
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  return outcomes.map((outcome) => (outcome as PromiseFulfilledResult<unknown>).value) as unknown as T;
}

/** Work that goes on after its caller was answered; `drain` waits for all of it. Failures go to `onError`. */
export class Background {
  readonly #running = new Set<Promise<void>>();

  constructor(private readonly onError: (what: string, error: unknown) => void) {}

  run(what: string, work: () => Promise<void>): Promise<void> {
    // The answer that is on its way goes out first.
    const running = nextTurn()
      .then(work)
      .catch((error: unknown) => this.onError(what, error))
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
    return running;
  }

  async drain(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
