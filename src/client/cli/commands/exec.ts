import type { ExecInspect } from "#spec/engine-api/container.ts";
import { CliError, command } from "../command.ts";
import { followSize, joinStreams } from "../terminal.ts";
import { readEnvFile } from "./run-flags.ts";

export const exec = command({
  path: "container exec",
  aliases: ["exec"],
  usage: "CONTAINER COMMAND [ARG...]",
  summary: "Execute a command in a running container",
  args: { min: 2, max: Number.POSITIVE_INFINITY },
  completes: "running-containers",
  flags: {
    detach: { kind: "bool", short: "d", help: "Detached mode: run command in the background" },
    "detach-keys": { kind: "string", help: "Override the key sequence for detaching a container" },
    env: { kind: "list", short: "e", help: "Set environment variables" },
    "env-file": { kind: "list", help: "Read in a file of environment variables" },
    interactive: { kind: "bool", short: "i", help: "Keep STDIN open even if not attached" },
    privileged: { kind: "bool", help: "Give extended privileges to the command" },
    tty: { kind: "bool", short: "t", help: "Allocate a pseudo-TTY" },
    user: { kind: "string", short: "u", help: "Username or UID (format: <name|uid>[:<group|gid>])" },
    workdir: { kind: "string", short: "w", help: "Working directory inside the container" },
  },
  stopsAtFirstArgument: true,
  async run({ args, flags, engine }) {
    const [container = "", ...words] = args;
    const attached = !flags.detach;
    if (attached && flags.interactive && flags.tty && !process.stdin.isTTY)
      throw new CliError("the input device is not a TTY", 1);
    const consoleSize =
      flags.tty && process.stdout.isTTY ? { ConsoleSize: [process.stdout.rows, process.stdout.columns] } : {};
    const { Id: id } = await engine.json<{ Id: string }>("POST", `/containers/${container}/exec`, {
      json: {
        AttachStdin: attached && flags.interactive,
        AttachStdout: attached,
        AttachStderr: attached,
        Tty: flags.tty,
        Privileged: flags.privileged,
        Env: [...flags["env-file"].flatMap(readEnvFile), ...flags.env.flatMap(assignment)],
        Cmd: words,
        ...(flags.user !== undefined && { User: flags.user }),
        ...(flags.workdir !== undefined && { WorkingDir: flags.workdir }),
        ...(flags["detach-keys"] !== undefined && { DetachKeys: flags["detach-keys"] }),
        ...consoleSize,
      },
    });
    const body = { Detach: flags.detach, Tty: flags.tty, ...consoleSize };
    if (flags.detach) {
      await engine.send("POST", `/exec/${id}/start`, { json: body });
      return 0;
    }
    const connection = await engine.hijack(`/exec/${id}/start`, { json: body });
    using _size = flags.tty && process.stdout.isTTY ? followSize(engine, `/exec/${id}`) : null;
    await joinStreams(connection, { stdin: flags.interactive, terminal: flags.tty });
    return exitCode(() => engine.json<ExecInspect>("GET", `/exec/${id}/json`));
  },
});

function assignment(text: string): string[] {
  if (text.includes("=")) return [text];
  const own = process.env[text];
  return own === undefined ? [] : [`${text}=${own}`];
}

/** The stream may end a moment before the exit is noted; a detached exec goes on running and counts as 0. */
async function exitCode(inspect: () => Promise<ExecInspect>): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const { Running: running, ExitCode: code } = await inspect();
    if (!running) return code ?? 0;
    await Bun.sleep(5);
  }
  return 0;
}
