import type { EventMessage, Filters } from "#spec/engine-api/event.ts";
import { matchesEvent } from "./event-filter.ts";

/** What happened: type, action, whom. The time is set when it is published. */
export interface Happening {
  readonly type: "container" | "image" | "volume" | "network" | "daemon" | "builder";
  readonly action: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Events kept for `since`. Docker keeps 256. */
const historyLimit = 1024;
/** A reader that lags further behind is cut off: it must not grow the daemon's memory. */
const readerQueueLimit = 4096;

/** The engine's event stream: a bounded history and any number of readers. */
export class Events {
  readonly #history: EventMessage[] = [];
  readonly #readers = new Set<(message: EventMessage) => void>();
  #lastNano = 0n;

  /** How many read the stream now. */
  get readerCount(): number {
    return this.#readers.size;
  }

  publish(happening: Happening): void {
    let nano = BigInt(Date.now()) * 1_000_000n + BigInt(Math.floor((performance.now() % 1) * 1e6));
    if (nano <= this.#lastNano) nano = this.#lastNano + 1n;
    this.#lastNano = nano;
    const message: EventMessage = {
      Type: happening.type,
      Action: happening.action,
      Actor: { ID: happening.id, Attributes: { ...happening.attributes } },
      scope: "local",
      time: Number(nano / 1_000_000_000n),
      timeNano: Number(nano),
    };
    if (happening.type === "container" || happening.type === "image") {
      message.status = happening.action;
      message.id = happening.id;
      const from = happening.attributes.image;
      if (happening.type === "container" && from !== undefined) message.from = from;
    }
    this.#history.push(message);
    if (this.#history.length > historyLimit) this.#history.shift();
    for (const reader of this.#readers) reader(message);
  }

  /**
   * Past events from `since` on (none when undefined), then live ones until `until` or abort. Times in seconds since 1970.
   */
  async *subscribe(
    options: { since?: number; until?: number; filters: Filters },
    signal: AbortSignal,
  ): AsyncGenerator<EventMessage> {
    const { since, until, filters } = options;
    const queue: EventMessage[] = [];
    let wake: () => void = () => {};
    let lagging = false;
    const wanted = (message: EventMessage) =>
      (until === undefined || message.timeNano <= until * 1e9) && matchesEvent(message, filters);
    const reader = (message: EventMessage) => {
      if (!wanted(message)) return;
      if (queue.length >= readerQueueLimit) lagging = true;
      else queue.push(message);
      wake();
    };
    if (since !== undefined) queue.push(...this.#history.filter((m) => m.timeNano >= since * 1e9 && wanted(m)));
    this.#readers.add(reader);
    const onAbort = () => wake();
    signal.addEventListener("abort", onAbort);
    const untilTimer =
      until === undefined ? undefined : setTimeout(() => wake(), Math.max(0, until * 1000 - Date.now()));
    try {
      for (;;) {
        for (let message = queue.shift(); message !== undefined; message = queue.shift()) yield message;
        if (signal.aborted || lagging) return;
        if (until !== undefined && Date.now() >= until * 1000) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (queue.length > 0 || signal.aborted) resolve();
        });
      }
    } finally {
      clearTimeout(untilTimer);
      signal.removeEventListener("abort", onAbort);
      this.#readers.delete(reader);
    }
  }
}
