/** Network namespaces, made and unmade by one worker thread. @see network_namespaces(7) */
import { type Deferred, deferred } from "#base/concurrency.ts";
import { EngineError } from "#base/errors.ts";

/** A veth pair from a host's bridge into a new namespace, and the address there. */
export interface NetnsLink {
  readonly name: string;
  /** Index of the bridge. */
  readonly master: number;
  readonly mtu: number;
  /** The link's name inside. */
  readonly peer: string;
  readonly peerMac: string;
  readonly address: string;
  readonly prefixLength: number;
  readonly gateway: string;
}

export type NetnsCall =
  | { readonly number: number; readonly do: "open"; readonly path: string; readonly link: NetnsLink | null }
  | { readonly number: number; readonly do: "close"; readonly path: string };

export interface NetnsAnswer {
  readonly number: number;
  readonly error: string | null;
}

/** In the compiled program, files keep their place below the folder of main.ts; from the sources, the file is beside this one. */
const workerFile = Bun.main.startsWith("/$bunfs/")
  ? "/$bunfs/root/linux/namespace/netns-worker.js"
  : new URL("./netns-worker.ts", import.meta.url).href;

/** Talks to the worker. Its file is an entry point of its own in the compiled program (scripts/build.ts). */
export class NetworkNamespaces {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Deferred<void>>();
  #calls = 0;
  #failure: EngineError | null = null;

  constructor() {
    this.#worker = new Worker(workerFile);
    this.#worker.onmessage = (event: MessageEvent<NetnsAnswer>) => {
      const { number, error } = event.data;
      const pending = this.#pending.get(number);
      this.#pending.delete(number);
      if (error === null) pending?.resolve();
      else pending?.reject(new EngineError("internal", "network namespace", error));
    };
    this.#worker.onerror = (event) => {
      this.#failure = new EngineError(
        "internal",
        "network namespace",
        `the network namespace worker failed: ${event.message}`,
      );
      for (const pending of this.#pending.values()) pending.reject(this.#failure);
      this.#pending.clear();
    };
  }

  /** Makes a namespace at `path`, with loopback up and, when given, a link. On failure nothing of it stays. */
  open(path: string, link: NetnsLink | null): Promise<void> {
    return this.#call({ number: this.#calls++, do: "open", path, link });
  }

  /** Idempotent. */
  close(path: string): Promise<void> {
    return this.#call({ number: this.#calls++, do: "close", path });
  }

  #call(call: NetnsCall): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const pending = deferred<void>();
    this.#pending.set(call.number, pending);
    this.#worker.postMessage(call);
    return pending.promise;
  }

  stop(): void {
    this.#worker.terminate();
  }
}
