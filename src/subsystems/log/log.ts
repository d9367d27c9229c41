import type { StreamChunk } from "#spec/engine-api/frame.ts";

export interface LogQuery {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly follow?: boolean;
  /** Nanoseconds since 1970, inclusive. */
  readonly sinceNs?: bigint;
  readonly untilNs?: bigint;
  /** Lines from the end; undefined: all. */
  readonly tail?: number;
  /** Prefix every line with its RFC 3339 time. */
  readonly timestamps?: boolean;
}

export interface LogPolicy {
  /** Bytes at which a file is rotated. */
  readonly maxSizeBytes: number;
  /** Files kept, the current one included. */
  readonly maxFiles: number;
}

/**
 * Container logs, as conmon writes them (k8s-file lines: time, stream, P|F, text), rotated by us.
 * Output comes back byte for byte.
 */
export interface Logs {
  /** Where conmon is to write for this container. */
  path(containerId: string): string;
  /** Starts watching a container's log for rotation; `reopen` asks conmon to open the path anew. */
  watch(containerId: string, policy: LogPolicy, reopen: () => void): void;
  unwatch(containerId: string): void;
  /**
   * Reads across rotated files, oldest first. With `follow` it goes on until `ended` settles and the rest is read, or
   * `signal` aborts. A slow reader costs no memory.
   */
  read(
    containerId: string,
    query: LogQuery,
    ended: Promise<void> | null,
    signal: AbortSignal,
  ): AsyncGenerator<StreamChunk>;
  remove(containerId: string): Promise<void>;
  stop(): void;
}
