import { EngineError } from "#base/errors.ts";
import { newId } from "#base/ids.ts";
import type { ExecCreateRequest, ExecInspect } from "#spec/engine-api/container.ts";
import type { StreamChunk } from "#spec/engine-api/frame.ts";
import type { ExecProcess } from "#subsystems/runtime/runtime.ts";
import { announce } from "./announce.ts";
import { clientStream } from "./attach.ts";
import type { AttachStream } from "./container.ts";
import type { Container } from "./registry.ts";
import type { Rooms } from "./rooms.ts";
import { specRequest } from "./spec-request.ts";
import { isLive } from "./state.ts";

/** Finished execs can be inspected for this long, as in Docker. */
const keptAfterEndMs = 5 * 60_000;

interface Exec {
  readonly id: string;
  readonly container: Container;
  readonly request: ExecCreateRequest;
  process: ExecProcess | null;
  started: boolean;
  exitCode: number | null;
  endedAtMs: number | null;
}

type Needs = Pick<Rooms, "registry" | "runtime" | "builder" | "events" | "settings" | "log">;

/** Commands run in live containers. They belong to the daemon's memory: a restart of it forgets them, as Docker's does. */
export class Execs {
  readonly #execs = new Map<string, Exec>();

  constructor(private readonly rooms: Needs) {}

  /** @throws EngineError `conflict` when the container does not run or is paused; `invalid` without a command */
  create(container: Container, request: ExecCreateRequest): { Id: string } {
    this.#forgetOld();
    assertRunning(container);
    if (request.Cmd.length === 0) throw new EngineError("invalid", container.id, "No exec command specified");
    const exec: Exec = {
      id: newId(),
      container,
      request,
      process: null,
      started: false,
      exitCode: null,
      endedAtMs: null,
    };
    this.#execs.set(exec.id, exec);
    this.#announce(exec, `exec_create: ${request.Cmd.join(" ")}`);
    return { Id: exec.id };
  }

  /** @returns null when detached */
  async start(
    execId: string,
    options: { detach: boolean; consoleSize?: readonly [number, number] },
  ): Promise<AttachStream | null> {
    const exec = this.#find(execId);
    if (exec.started) {
      throw new EngineError(
        "conflict",
        execId,
        exec.exitCode === null ? `exec ${execId} is already running` : `Error: Exec command ${execId} has already run`,
      );
    }
    assertRunning(exec.container);
    exec.started = true;
    const { request } = exec;
    const terminal = request.Tty ?? false;
    try {
      exec.process = await this.#run(exec, options);
    } catch (error) {
      exec.exitCode = /permission denied/i.test(String(error)) ? 126 : 127;
      exec.endedAtMs = Date.now();
      throw error;
    }
    this.#announce(exec, `exec_start: ${request.Cmd.join(" ")}`);
    const ended = exec.process.exited.then(
      (code) => this.#ended(exec, code),
      (error: unknown) => {
        this.rooms.log.error("lost track of an exec", { exec: execId, error });
        this.#ended(exec, 255);
      },
    );
    const { attachment } = exec.process;
    if (options.detach || attachment === null) return null;
    const streams = {
      output: untilEnded(attachment.output, ended),
      write: (bytes: Uint8Array) => attachment.write(bytes),
      closeInput: () => attachment.closeInput(),
      close: () => attachment.close(),
    };
    return clientStream(streams, {
      terminal,
      stdin: request.AttachStdin ?? false,
      stdout: request.AttachStdout ?? false,
      stderr: request.AttachStderr ?? false,
      detachKeys: request.DetachKeys,
      onDetach: () => this.#announce(exec, "exec_detach"),
    });
  }

  async #run(exec: Exec, options: { detach: boolean; consoleSize?: readonly [number, number] }): Promise<ExecProcess> {
    const { rooms } = this;
    const { container, request } = exec;
    const network = container.record.sandbox ?? { endpoints: {}, ports: {} };
    const consoleSize = options.consoleSize ?? request.ConsoleSize;
    const process = await rooms.builder.execProcess({
      container: specRequest(rooms, container, network, rooms.runtime.rootfsPath(container.id)),
      cmd: request.Cmd,
      env: request.Env ?? [],
      tty: request.Tty ?? false,
      privileged: request.Privileged ?? false,
      ...(request.User !== undefined && request.User !== "" && { user: request.User }),
      ...(request.WorkingDir !== undefined && request.WorkingDir !== "" && { workingDir: request.WorkingDir }),
      ...(consoleSize !== undefined && { consoleSize }),
    });
    return rooms.runtime.exec({
      containerId: container.id,
      execId: exec.id,
      process,
      attachStdin: !options.detach && (request.AttachStdin ?? false),
      attachOutput: !options.detach,
      terminal: request.Tty ?? false,
    });
  }

  #ended(exec: Exec, code: number): void {
    exec.exitCode = code;
    exec.endedAtMs = Date.now();
    this.#announce(exec, "exec_die", { exitCode: String(code) });
  }

  resize(execId: string, width: number, height: number): void {
    const { process } = this.#find(execId);
    if (process === null) throw new EngineError("conflict", execId, `exec process is not started`);
    process.resize(width, height);
  }

  inspect(execId: string): ExecInspect {
    const exec = this.#find(execId);
    const { request } = exec;
    const [entrypoint = "", ...rest] = request.Cmd;
    return {
      ID: exec.id,
      Running: exec.started && exec.exitCode === null,
      ExitCode: exec.exitCode,
      ProcessConfig: {
        entrypoint,
        arguments: rest,
        privileged: request.Privileged ?? false,
        tty: request.Tty ?? false,
        ...(request.User !== undefined && request.User !== "" && { user: request.User }),
      },
      OpenStdin: request.AttachStdin ?? false,
      OpenStderr: request.AttachStderr ?? false,
      OpenStdout: request.AttachStdout ?? false,
      CanRemove: exec.exitCode !== null,
      ContainerID: exec.container.id,
      DetachKeys: request.DetachKeys ?? "",
      Pid: exec.process?.pid ?? 0,
    };
  }

  /** Ids of a container's execs that run; null when none, as `inspect` shows it. */
  runningIn(containerId: string): string[] | null {
    const ids = [...this.#execs.values()]
      .filter((exec) => exec.container.id === containerId && exec.started && exec.exitCode === null)
      .map((exec) => exec.id);
    return ids.length === 0 ? null : ids;
  }

  #find(execId: string): Exec {
    const exec = this.#execs.get(execId) ?? this.#byPrefix(execId);
    if (exec === undefined) throw new EngineError("not-found", execId, `No such exec instance: ${execId}`);
    if (!this.rooms.registry.has(exec.container.id)) {
      this.#execs.delete(exec.id);
      throw new EngineError("not-found", execId, `No such container: ${exec.container.id}`);
    }
    return exec;
  }

  #byPrefix(prefix: string): Exec | undefined {
    if (prefix === "") return undefined;
    const matches = [...this.#execs.values()].filter((exec) => exec.id.startsWith(prefix));
    return matches.length === 1 ? matches[0] : undefined;
  }

  #forgetOld(): void {
    const before = Date.now() - keptAfterEndMs;
    for (const exec of this.#execs.values()) {
      const unused = !exec.started && !isLive(exec.container.state);
      if (unused || (exec.endedAtMs !== null && exec.endedAtMs < before)) this.#execs.delete(exec.id);
    }
  }

  #announce(exec: Exec, action: string, extra: Record<string, string> = {}): void {
    announce(this.rooms.events, exec.container.record.definition, action, { execID: exec.id, ...extra });
  }
}

/** The end of the output tells clients to ask for the exit code: it must be known by then. */
async function* untilEnded(output: AsyncIterable<StreamChunk>, ended: Promise<void>): AsyncGenerator<StreamChunk> {
  yield* output;
  await ended;
}

function assertRunning(container: Container): void {
  if (container.state.status === "paused") {
    throw new EngineError(
      "conflict",
      container.id,
      `container ${container.name} is paused, unpause the container before exec`,
    );
  }
  if (!isLive(container.state))
    throw new EngineError("conflict", container.id, `container ${container.id} is not running`);
}
