import { ApiError } from "#client/api-client/api-client.ts";
import type { ContainerInspect, WaitResult } from "#spec/engine-api/container.ts";
import { CliError, command } from "../command.ts";
import { followSize, forwardSignals, joinStreams } from "../terminal.ts";

export const start = command({
  path: "container start",
  aliases: ["start"],
  usage: "CONTAINER [CONTAINER...]",
  summary: "Start one or more stopped containers",
  args: { min: 1, max: Number.POSITIVE_INFINITY },
  completes: "containers",
  flags: {
    attach: { kind: "bool", short: "a", help: "Attach STDOUT/STDERR and forward signals" },
    "detach-keys": { kind: "string", help: "Override the key sequence for detaching a container" },
    interactive: { kind: "bool", short: "i", help: "Attach container's STDIN" },
  },
  async run({ args, flags, engine, out }) {
    if (!flags.attach && !flags.interactive) {
      const failed: string[] = [];
      for (const name of args) {
        try {
          await engine.send("POST", `/containers/${name}/start`);
          out.line(name);
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          out.error(`Error response from daemon: ${error.message}`);
          failed.push(name);
        }
      }
      if (failed.length > 0) throw new CliError(`Error: failed to start containers: ${failed.join(", ")}`, 1);
      return 0;
    }
    if (args.length > 1) throw new CliError("you cannot start and attach multiple containers at once", 1);
    const { Id: id, Config: config } = await engine.json<ContainerInspect>("GET", `/containers/${args[0]}/json`);
    const terminal = config.Tty ?? false;
    const connection = await engine.hijack(`/containers/${id}/attach`, {
      query: {
        stream: true,
        stdin: flags.interactive && config.OpenStdin === true,
        stdout: true,
        stderr: true,
        ...(flags["detach-keys"] !== undefined && { detachKeys: flags["detach-keys"] }),
      },
    });
    const ended = engine.json<WaitResult>("POST", `/containers/${id}/wait`, { query: { condition: "next-exit" } });
    ended.catch(() => {});
    using _signals = terminal ? null : forwardSignals(engine, id);
    const streams = joinStreams(connection, { stdin: flags.interactive, terminal });
    streams.catch(() => {});
    try {
      await engine.send("POST", `/containers/${id}/start`);
    } catch (error) {
      connection.close();
      throw error;
    }
    using _size = terminal ? followSize(engine, `/containers/${id}`) : null;
    await streams;
    const { State: state } = await engine.json<ContainerInspect>("GET", `/containers/${id}/json`);
    return state.Running && terminal ? 0 : (await ended).StatusCode;
  },
});
