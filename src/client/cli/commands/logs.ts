import type { ContainerInspect } from "#spec/engine-api/container.ts";
import { FrameDecoder } from "#spec/engine-api/frame.ts";
import { command } from "../command.ts";
import { writeRaw } from "../output.ts";

export const logs = command({
  path: "container logs",
  aliases: ["logs"],
  usage: "CONTAINER",
  summary: "Fetch the logs of a container",
  args: { min: 1, max: 1 },
  completes: "containers",
  flags: {
    details: { kind: "bool", help: "Show extra details provided to logs" },
    follow: { kind: "bool", short: "f", help: "Follow log output" },
    since: {
      kind: "string",
      help: 'Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
    },
    tail: { kind: "string", short: "n", help: "Number of lines to show from the end of the logs", default: '"all"' },
    timestamps: { kind: "bool", short: "t", help: "Show timestamps" },
    until: {
      kind: "string",
      help: 'Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
    },
  },
  async run({ args, flags, engine }) {
    const { Id: id, Config: config } = await engine.json<ContainerInspect>("GET", `/containers/${args[0]}/json`);
    const response = await engine.request("GET", `/containers/${id}/logs`, {
      query: {
        stdout: true,
        stderr: true,
        follow: flags.follow,
        timestamps: flags.timestamps,
        details: flags.details,
        tail: flags.tail ?? "all",
        since: flags.since,
        until: flags.until,
      },
    });
    const decoder = config.Tty === true ? null : new FrameDecoder();
    for await (const chunk of response.body) {
      if (decoder === null) writeRaw("stdout", chunk);
      else
        for (const piece of decoder.push(chunk)) writeRaw(piece.kind === "stderr" ? "stderr" : "stdout", piece.bytes);
    }
  },
});
