import type { StreamChunk } from "#spec/engine-api/frame.ts";
import type { RuntimeProcess, RuntimeResources, RuntimeSpec } from "#spec/oci/runtime.ts";
import type { Mount } from "#store/snapshot/snapshot.ts";

/** How a process ended. */
export interface Exit {
  /** 0–255; 128+signal when killed by one. */
  readonly code: number;
  readonly oomKilled: boolean;
  /** When conmon noted it. */
  readonly at: Date;
}

export interface MonitorRequest {
  readonly id: string;
  readonly logPath: string;
  /** Hard limit of the log in bytes in case nobody rotates it; conmon's --log-size-max. */
  readonly logSizeMaxBytes: number;
  readonly terminal: boolean;
  readonly openStdin: boolean;
  /** Close the container's stdin when the first attached client closes its own. */
  readonly stdinOnce: boolean;
}

/** A monitor that has started and waits for its container's configuration. */
export interface PendingTask {
  /**
   * Writes config.json and lets the monitor run the runtime's `create`. The process waits to be started; attach before
   * that to miss nothing.
   * @returns pid of the container's init as the host sees it, and conmon's
   * @throws EngineError `invalid` with the runtime's words when the command cannot be run
   *   (the caller maps "executable file not found" to 127, "permission denied" to 126)
   */
  create(spec: RuntimeSpec): Promise<{ pid: number; conmonPid: number }>;
  /** Ends a monitor that was never let go; harmless afterwards. */
  abandon(): void;
}

/** One live connection to a container's or exec's stdio. */
export interface Attachment {
  /** Chunks until the process is gone and everything is read, or `close`. Back-pressure reaches conmon's socket. */
  readonly output: AsyncIterable<StreamChunk>;
  /** Resolves when it is safe to write more. Rejects after the process ended. */
  write(bytes: Uint8Array): Promise<void>;
  /** Half-close: the process sees end of file on stdin. */
  closeInput(): Promise<void>;
  close(): void;
}

export interface ExecRequest {
  readonly containerId: string;
  readonly execId: string;
  readonly process: RuntimeProcess;
  readonly attachStdin: boolean;
  readonly attachOutput: boolean;
  readonly terminal: boolean;
}

export interface ExecProcess {
  readonly pid: number;
  readonly exited: Promise<number>;
  /** null when started detached. */
  readonly attachment: Attachment | null;
  resize(width: number, height: number): void;
}

/**
 * Runs OCI bundles by conmon and crun (or runc). conmon, not the daemon, holds stdio, log and exit code, so tasks live on
 * while the daemon is away. Everything lies under `<exec-root>/runtime`, with a private crun `--root`.
 */
export interface Runtime {
  /** `crun` or `runc`: the one in use. */
  readonly name: string;
  /**
   * Mounts a snapshot at `<exec-root>/containers/<id>/rootfs` and returns that path. Idempotent.
   * Undone by `unmountRootfs`, which is idempotent too and works after a crash.
   */
  mountRootfs(id: string, mounts: readonly Mount[]): Promise<string>;
  unmountRootfs(id: string): Promise<void>;
  /** Where `mountRootfs` mounts this container's root file system. */
  rootfsPath(id: string): string;
  /** Starts a container's monitor, which loads while the caller makes the rest ready. Undone by `abandon` and `delete`. */
  prepare(request: MonitorRequest): PendingTask;
  start(id: string): Promise<void>;
  /** Signal by number. @throws EngineError `conflict` when the process is gone */
  kill(id: string, signal: number): Promise<void>;
  pause(id: string): Promise<void>;
  resume(id: string): Promise<void>;
  update(id: string, resources: RuntimeResources): Promise<void>;
  /** Ends what is left, removes runtime state, cgroup and bundle; idempotent, works after a crash. */
  delete(id: string): Promise<void>;
  attach(id: string): Promise<Attachment>;
  resize(id: string, width: number, height: number): Promise<void>;
  reopenLog(id: string): void;
  exec(request: ExecRequest): Promise<ExecProcess>;
  /** Pids in the container's cgroup. */
  pids(id: string): Promise<number[]>;
  /** `ps` on the host with `args`, reduced to the container's processes. */
  top(id: string, psArgs: readonly string[]): Promise<{ titles: string[]; processes: string[][] }>;
  /** Settles when the container has ended (from conmon's exit file; also when it ended while the daemon was away). */
  wait(id: string): Promise<Exit>;
  /**
   * What the kernel still has of these ids after a restart of the daemon: `running` with pids, `exited` with its exit,
   * or `gone` (host was rebooted). Ids on disk that are not in `ids` are removed with all they hold.
   */
  recover(
    ids: readonly string[],
  ): Promise<
    Map<
      string,
      | { state: "running" | "paused"; pid: number; conmonPid: number }
      | { state: "exited"; exit: Exit }
      | { state: "gone" }
    >
  >;
  stop(): Promise<void>;
}
