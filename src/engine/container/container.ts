/**
 * Containers: the row, the state machine and the use-cases. Files beside this one hold one use-case each.
 */
import type {
  ContainerConfig,
  ContainerInspect,
  ContainerSummary,
  CreateRequest,
  ExecCreateRequest,
  ExecInspect,
  HostConfig,
  NetworkingConfig,
  TopResult,
  WaitCondition,
  WaitResult,
} from "#spec/engine-api/container.ts";
import type { Filters } from "#spec/engine-api/event.ts";
import type { StreamChunk } from "#spec/engine-api/frame.ts";
import type { Digest } from "#spec/oci/digest.ts";

/** What never changes after create, apart from name and limits. Kept as JSON in the container's row. */
export interface ContainerDefinition {
  readonly id: string;
  readonly name: string;
  readonly createdAt: string;
  readonly imageId: Digest;
  /** Merged with the image's defaults. */
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly networking: NetworkingConfig;
}

/** A stream of a container or exec, as the API hijacks it. */
export interface AttachStream {
  /** True: raw terminal bytes; false: frames. */
  readonly terminal: boolean;
  readonly output: AsyncIterable<StreamChunk>;
  write(bytes: Uint8Array): Promise<void>;
  closeInput(): Promise<void>;
  close(): void;
}

export interface AttachOptions {
  /** Send what was written so far (from the log) first. */
  readonly logs: boolean;
  /** Go on with live output. */
  readonly stream: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Keys that detach a terminal, `ctrl-p,ctrl-q` when absent or empty. */
  readonly detachKeys?: string;
}

export interface LogsOptions {
  readonly follow: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly sinceNs?: bigint;
  readonly untilNs?: bigint;
  readonly timestamps: boolean;
  /** Lines from the end; undefined: all. */
  readonly tail?: number;
}

export interface ListOptions {
  readonly all: boolean;
  readonly limit?: number;
  readonly size: boolean;
  readonly filters: Filters;
}

/**
 * The use-cases that `server/api` calls. `id` is a full id, a unique prefix or a name (with or without `/`).
 * Every method throws EngineError `not-found` "No such container: X", and Docker's texts for the rest.
 */
export interface Containers {
  create(name: string | undefined, request: CreateRequest): Promise<{ Id: string; Warnings: string[] }>;
  /** @throws EngineError `not-modified` when running; `invalid` when the command cannot be run */
  start(id: string): Promise<void>;
  /** @throws EngineError `not-modified` when not running */
  stop(id: string, options: { signal?: string; timeoutSeconds?: number }): Promise<void>;
  restart(id: string, options: { signal?: string; timeoutSeconds?: number }): Promise<void>;
  /** @throws EngineError `conflict` when not running; `invalid` for an unknown signal */
  kill(id: string, signal: string | undefined): Promise<void>;
  pause(id: string): Promise<void>;
  unpause(id: string): Promise<void>;
  rename(id: string, name: string): Promise<void>;
  /** @throws EngineError `conflict` while it runs, unless forced */
  remove(id: string, options: { force: boolean; removeVolumes: boolean }): Promise<void>;
  /** Registers at once; the promise settles when the condition holds. */
  wait(id: string, condition: WaitCondition, signal: AbortSignal): Promise<WaitResult>;
  list(options: ListOptions): Promise<ContainerSummary[]>;
  inspect(id: string, options?: { size?: boolean }): Promise<ContainerInspect>;
  /** May be called before start: the stream begins with the first byte. */
  attach(id: string, options: AttachOptions): Promise<AttachStream>;
  /** `terminal` says whether to frame. */
  logs(
    id: string,
    options: LogsOptions,
    signal: AbortSignal,
  ): Promise<{ terminal: boolean; chunks: AsyncIterable<StreamChunk> }>;
  resize(id: string, width: number, height: number): Promise<void>;
  top(id: string, psArgs: string): Promise<TopResult>;
  prune(filters: Filters): Promise<{ ContainersDeleted: string[]; SpaceReclaimed: number }>;
  execCreate(id: string, request: ExecCreateRequest): Promise<{ Id: string }>;
  /** @returns null when detached. @throws EngineError `not-found` "No such exec instance: X", `conflict` when it ran already */
  execStart(
    execId: string,
    options: { detach: boolean; tty: boolean; consoleSize?: readonly [number, number] },
  ): Promise<AttachStream | null>;
  execResize(execId: string, width: number, height: number): Promise<void>;
  execInspect(execId: string): Promise<ExecInspect>;
}
