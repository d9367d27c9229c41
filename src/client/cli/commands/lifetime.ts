/** Commands that end, hold or rename containers. */
import { ApiError } from "#client/api-client/api-client.ts";
import type { WaitResult } from "#spec/engine-api/container.ts";
import { command } from "../command.ts";
import { forEach, forEachInTurn } from "./each.ts";

const many = { min: 1, max: Number.POSITIVE_INFINITY };
const containers = "CONTAINER [CONTAINER...]";

const stopFlags = {
  signal: { kind: "string", short: "s", help: "Signal to send to the container" },
  timeout: { kind: "int", short: "t", help: "Seconds to wait before killing the container" },
  time: { kind: "int", help: "Seconds to wait before killing the container", hidden: true },
} as const;

const stopQuery = (flags: { signal: string | undefined; timeout: number | undefined; time: number | undefined }) => ({
  signal: flags.signal,
  t: flags.timeout ?? flags.time,
});

export const stop = command({
  path: "container stop",
  aliases: ["stop"],
  usage: containers,
  summary: "Stop one or more running containers",
  args: many,
  completes: "running-containers",
  flags: stopFlags,
  run: ({ args, flags, engine, out }) =>
    forEach(out, args, (name) => engine.send("POST", `/containers/${name}/stop`, { query: stopQuery(flags) })),
});

export const restart = command({
  path: "container restart",
  aliases: ["restart"],
  usage: containers,
  summary: "Restart one or more containers",
  args: many,
  completes: "containers",
  flags: stopFlags,
  run: ({ args, flags, engine, out }) =>
    forEach(out, args, (name) => engine.send("POST", `/containers/${name}/restart`, { query: stopQuery(flags) })),
});

export const kill = command({
  path: "container kill",
  aliases: ["kill"],
  usage: containers,
  summary: "Kill one or more running containers",
  args: many,
  completes: "running-containers",
  flags: { signal: { kind: "string", short: "s", help: "Signal to send to the container" } },
  run: ({ args, flags, engine, out }) =>
    forEach(out, args, (name) => engine.send("POST", `/containers/${name}/kill`, { query: { signal: flags.signal } })),
});

export const pause = command({
  path: "container pause",
  aliases: ["pause"],
  usage: containers,
  summary: "Pause all processes within one or more containers",
  args: many,
  completes: "running-containers",
  flags: {},
  run: ({ args, engine, out }) => forEach(out, args, (name) => engine.send("POST", `/containers/${name}/pause`)),
});

export const unpause = command({
  path: "container unpause",
  aliases: ["unpause"],
  usage: containers,
  summary: "Unpause all processes within one or more containers",
  args: many,
  completes: "running-containers",
  flags: {},
  run: ({ args, engine, out }) => forEach(out, args, (name) => engine.send("POST", `/containers/${name}/unpause`)),
});

export const wait = command({
  path: "container wait",
  aliases: ["wait"],
  usage: containers,
  summary: "Block until one or more containers stop, then print their exit codes",
  args: many,
  completes: "running-containers",
  flags: {},
  run: ({ args, engine, out }) =>
    forEach(out, args, async (name) =>
      String((await engine.json<WaitResult>("POST", `/containers/${name}/wait`)).StatusCode),
    ),
});

export const rm = command({
  path: "container rm",
  aliases: ["rm", "container remove"],
  usage: containers,
  summary: "Remove one or more containers",
  args: many,
  completes: "containers",
  flags: {
    force: { kind: "bool", short: "f", help: "Force the removal of a running container (uses SIGKILL)" },
    link: { kind: "bool", short: "l", help: "Remove the specified link" },
    volumes: { kind: "bool", short: "v", help: "Remove anonymous volumes associated with the container" },
  },
  run: ({ args, flags, engine, out }) =>
    forEachInTurn(out, args, async (name) => {
      try {
        await engine.send("DELETE", `/containers/${name.replace(/^\/+/, "")}`, {
          query: { force: flags.force, link: flags.link, v: flags.volumes },
        });
      } catch (error) {
        // Forced removal of what is not there is done already, as in Docker.
        if (!(flags.force && error instanceof ApiError && error.status === 404)) throw error;
        out.error(`Error response from daemon: ${error.message}`);
        return "";
      }
      return name;
    }),
});

export const rename = command({
  path: "container rename",
  aliases: ["rename"],
  usage: "CONTAINER NEW_NAME",
  summary: "Rename a container",
  args: { min: 2, max: 2 },
  completes: "containers",
  flags: {},
  async run({ args, engine }) {
    const [name = "", newName = ""] = args;
    await engine.send("POST", `/containers/${name}/rename`, { query: { name: newName } });
  },
});
