import type { ContainerInspect, WaitResult } from "#spec/engine-api/container.ts";
import { CliError, command } from "../command.ts";
import { followSize, forwardSignals, joinStreams } from "../terminal.ts";

export const attach = command({
  path: "container attach",
  aliases: ["attach"],
  usage: "CONTAINER",
  summary: "Attach local standard input, output, and error streams to a running container",
  args: { min: 1, max: 1 },
  completes: "running-containers",
  flags: {
    "detach-keys": { kind: "string", help: "Override the key sequence for detaching a container" },
    "no-stdin": { kind: "bool", help: "Do not attach STDIN" },
    "sig-proxy": { kind: "bool", help: "Proxy all received signals to the process", default: "true" },
  },
  async run({ args, flags, given, engine }) {
    const {
      Id: id,
      Config: config,
      State: state,
    } = await engine.json<ContainerInspect>("GET", `/containers/${args[0]}/json`);
    if (!state.Running) throw new CliError("cannot attach to a stopped container, start it first", 1);
    if (state.Paused) throw new CliError("cannot attach to a paused container, unpause it first", 1);
    if (state.Restarting) throw new CliError("cannot attach to a restarting container, wait until it is running", 1);
    const terminal = config.Tty ?? false;
    const stdin = !flags["no-stdin"] && config.OpenStdin === true;
    if (terminal && stdin && !process.stdin.isTTY) throw new CliError("the input device is not a TTY", 1);
    const ended = engine.json<WaitResult>("POST", `/containers/${id}/wait`, {});
    ended.catch(() => {});
    const connection = await engine.hijack(`/containers/${id}/attach`, {
      query: {
        stream: true,
        stdin,
        stdout: true,
        stderr: true,
        ...(flags["detach-keys"] !== undefined && { detachKeys: flags["detach-keys"] }),
      },
    });
    using _signals = !terminal && (!given.has("sig-proxy") || flags["sig-proxy"]) ? forwardSignals(engine, id) : null;
    using _size = terminal ? followSize(engine, `/containers/${id}`) : null;
    await joinStreams(connection, { stdin, terminal });
    // Output ends a moment before the end is noted; a detached container just goes on.
    const late = new Promise<null>((resolve) => setTimeout(() => resolve(null), 200));
    const result = await Promise.race([ended, late]);
    if (result !== null) return result.StatusCode;
    const after = await engine.json<ContainerInspect>("GET", `/containers/${id}/json`);
    return after.State.Running ? 0 : after.State.ExitCode;
  },
});
