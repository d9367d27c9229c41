import { ApiError } from "#client/api-client/api-client.ts";
import type { WaitResult } from "#spec/engine-api/container.ts";
import { CliError, command } from "../command.ts";
import { followSize, forwardSignals, joinStreams } from "../terminal.ts";
import { createContainer, requestOf } from "./create-container.ts";
import { createFlags } from "./run-flags.ts";

export const run = command({
  path: "container run",
  aliases: ["run"],
  usage: "IMAGE [COMMAND] [ARG...]",
  summary: "Create and run a new container from an image",
  args: { min: 1, max: Number.POSITIVE_INFINITY },
  completes: "images",
  flags: {
    ...createFlags,
    detach: { kind: "bool", short: "d", help: "Run container in background and print container ID" },
    "detach-keys": { kind: "string", help: "Override the key sequence for detaching a container" },
    "sig-proxy": { kind: "bool", help: "Proxy received signals to the process", default: "true" },
  },
  stopsAtFirstArgument: true,
  async run(context) {
    const { flags, given, engine, out } = context;
    const detached = flags.detach;
    if (detached && flags.attach.length > 0)
      throw new CliError("skiff: conflicting options: cannot specify both --attach and --detach", 125, "hint");
    const request = requestOf(context, flags, detached);
    const terminal = flags.tty;
    if (terminal && flags.interactive && !detached && request.AttachStdin === true && !process.stdin.isTTY) {
      throw new CliError("the input device is not a TTY", 1);
    }
    const id = await createContainer(context, flags, request);
    if (detached) {
      await start(engine, id);
      out.line(id);
      return 0;
    }
    const attached = request.AttachStdin === true || request.AttachStdout === true || request.AttachStderr === true;
    const connection = await engine.hijack(`/containers/${id}/attach`, {
      query: {
        stream: true,
        stdin: request.AttachStdin === true,
        stdout: request.AttachStdout === true,
        stderr: request.AttachStderr === true,
        ...(flags["detach-keys"] !== undefined && { detachKeys: flags["detach-keys"] }),
      },
    });
    // Asked before the start, so that the shortest run is not missed.
    const ended = engine.json<WaitResult>("POST", `/containers/${id}/wait`, {
      query: { condition: flags.rm ? "removed" : "next-exit" },
    });
    ended.catch(() => {});
    using _signals = !terminal && (!given.has("sig-proxy") || flags["sig-proxy"]) ? forwardSignals(engine, id) : null;
    const streams = joinStreams(connection, { stdin: request.AttachStdin === true, terminal });
    streams.catch(() => {});
    try {
      await start(engine, id);
    } catch (error) {
      connection.close();
      throw error;
    }
    using _size = terminal && attached ? followSize(engine, `/containers/${id}`) : null;
    await streams;
    return exitCode(engine, id, ended, terminal);
  },
});

async function start(engine: { send(method: string, path: string): Promise<void> }, id: string): Promise<void> {
  try {
    await engine.send("POST", `/containers/${id}/start`);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    throw new CliError(`skiff: Error response from daemon: ${error.message}`, startFailureCode(error.message), "hint");
  }
}

/** Docker's exit codes for a container that could not be started. */
export function startFailureCode(message: string): number {
  if (/executable file not found|no such file or directory|system cannot find the file specified/.test(message))
    return 127;
  if (/permission denied|is a directory/.test(message)) return 126;
  return 125;
}

/** The container's exit code; 0 when the user detached and it goes on. */
async function exitCode(
  engine: { json<T>(method: string, path: string): Promise<T> },
  id: string,
  ended: Promise<WaitResult>,
  terminal: boolean,
): Promise<number> {
  if (terminal && (await goesOn(engine, id))) return 0;
  const result = await ended;
  if (result.Error != null) throw new CliError(`skiff: ${result.Error.Message}`, 125);
  return result.StatusCode;
}

async function goesOn(engine: { json<T>(method: string, path: string): Promise<T> }, id: string): Promise<boolean> {
  try {
    const { State: state } = await engine.json<{ State: { Running: boolean; Restarting: boolean } }>(
      "GET",
      `/containers/${id}/json`,
    );
    if (!state.Running) return false;
    // The output ends a moment before the end is noted.
    await Bun.sleep(50);
    const again = await engine.json<{ State: { Running: boolean } }>("GET", `/containers/${id}/json`);
    return again.State.Running;
  } catch {
    return false;
  }
}
