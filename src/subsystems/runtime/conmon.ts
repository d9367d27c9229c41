import { closeSync, writeSync } from "node:fs";
import { join } from "node:path";
import { EngineError } from "#base/errors.ts";
import { makePipe } from "#linux/process/process.ts";
import type { MonitorRequest } from "./runtime.ts";
import { startError } from "./start-error.ts";

/** Where a container's bundle and its monitor's files lie. */
export interface BundlePaths {
  readonly directory: string;
  readonly config: string;
  readonly pidFile: string;
  readonly conmonPidFile: string;
  readonly attachSocket: string;
  readonly controlFifo: string;
}

export function bundlePaths(bundles: string, id: string): BundlePaths {
  const directory = join(bundles, id);
  return {
    directory,
    config: join(directory, "config.json"),
    pidFile: join(directory, "pid"),
    conmonPidFile: join(directory, "conmon.pid"),
    attachSocket: join(directory, "attach"),
    controlFifo: join(directory, "ctl"),
  };
}

export interface ConmonCommand {
  readonly conmon: string;
  readonly runtime: string;
  readonly runtimeArguments: readonly string[];
  readonly exitDirectory: string;
}

/** The child's numbers of the pipe by which conmon reports, and of the one at which it waits before it runs anything. */
const syncFd = 3;
const startFd = 4;

/** A conmon in a session of its own. Loading it takes about as long as everything else that a start needs. */
export class WaitingMonitor {
  #startFd: number | null;

  private constructor(
    private readonly child: Bun.Subprocess,
    private readonly reportFd: number,
    startFd: number,
  ) {
    this.#startFd = startFd;
  }

  static start(command: ConmonCommand, request: MonitorRequest, paths: BundlePaths): WaitingMonitor {
    const report = makePipe("us");
    const start = makePipe("child");
    try {
      const child = Bun.spawn(monitorWords(command, request, paths), {
        stdio: ["ignore", "ignore", "ignore", report.writeFd, start.readFd],
        env: {
          PATH: Bun.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin",
          _OCI_SYNCPIPE: String(syncFd),
          _OCI_STARTPIPE: String(startFd),
        },
        cwd: paths.directory,
        detached: true,
      });
      child.unref();
      return new WaitingMonitor(child, report.readFd, start.writeFd);
    } catch (error) {
      closeSync(report.readFd);
      closeSync(start.writeFd);
      throw error;
    } finally {
      closeSync(report.writeFd);
      closeSync(start.readFd);
    }
  }

  /**
   * Lets the runtime create the container; the monitor stays beside it.
   * @returns pid of the container's init
   * @throws EngineError with Docker's words when the runtime refuses
   */
  async go(id: string, command: string): Promise<number> {
    const fd = this.#startFd;
    if (fd === null) throw new EngineError("internal", id, "this monitor was let go before");
    this.#startFd = null;
    writeSync(fd, "1");
    closeSync(fd);
    const report = await readReport(this.reportFd);
    if (report.pid > 0) return report.pid;
    throw startError("create", id, report.message, command);
  }

  /** At the end of its pipe conmon would go on: one that is not wanted any more is killed. */
  abandon(): void {
    if (this.#startFd === null) return;
    this.child.kill("SIGKILL");
    closeSync(this.#startFd);
    closeSync(this.reportFd);
    this.#startFd = null;
  }
}

function monitorWords(command: ConmonCommand, request: MonitorRequest, paths: BundlePaths): string[] {
  const { id } = request;
  const words = [command.conmon, "--api-version", "1", "-c", id, "-u", id, "-n", id, "-r", command.runtime];
  for (const argument of command.runtimeArguments) words.push("--runtime-arg", argument);
  words.push("-b", paths.directory, "-p", paths.pidFile, "--conmon-pidfile", paths.conmonPidFile);
  words.push("--exit-dir", command.exitDirectory, "--full-attach", "--log-level", "error");
  words.push("-l", `k8s-file:${request.logPath}`, "--log-size-max", String(request.logSizeMaxBytes));
  if (request.terminal) words.push("-t");
  if (request.openStdin) words.push("-i");
  // A terminal has no end of input: who detaches from it comes back.
  if (request.openStdin && (!request.stdinOnce || request.terminal)) words.push("--leave-stdin-open");
  return words;
}

/** One line of JSON: `{"data": PID}` or `{"data": -1, "message": "…"}`. */
async function readReport(fd: number): Promise<{ pid: number; message: string }> {
  let text = "";
  const decoder = new TextDecoder();
  try {
    for await (const chunk of Bun.file(fd).stream()) {
      text += decoder.decode(chunk, { stream: true });
      if (text.includes("\n")) break;
    }
  } finally {
    closeSync(fd);
  }
  const line = text.split("\n", 1)[0] ?? "";
  if (line === "") throw new EngineError("internal", "conmon", "conmon ended without a report");
  const report = JSON.parse(line) as { data?: number; pid?: number; message?: string };
  return { pid: report.data ?? report.pid ?? -1, message: report.message ?? "" };
}
