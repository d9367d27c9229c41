import { closeSync } from "node:fs";
import { join } from "node:path";
import { EngineError } from "#base/errors.ts";
import { makePipe } from "#linux/process/process.ts";
import type { TaskRequest } from "./runtime.ts";
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

/** The child's number of the pipe by which conmon reports. */
const syncFd = 3;

/**
 * Starts conmon, which lets the runtime create the container and stays as its monitor, in a session of its own.
 * @returns pid of the container's init
 * @throws EngineError with Docker's words when the runtime refuses
 */
export async function createByConmon(
  command: ConmonCommand,
  request: TaskRequest,
  paths: BundlePaths,
): Promise<number> {
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
  const { readFd, writeFd } = makePipe();
  try {
    const conmon = Bun.spawn(words, {
      stdio: ["ignore", "ignore", "ignore", writeFd],
      env: { PATH: Bun.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin", _OCI_SYNCPIPE: String(syncFd) },
      cwd: paths.directory,
      detached: true,
    });
    conmon.unref();
  } finally {
    closeSync(writeFd);
  }
  const report = await readReport(readFd);
  if (report.pid > 0) return report.pid;
  throw startError("create", id, report.message, request.spec.process.args[0] ?? "");
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
