import type { ContainerInspect, TopResult } from "#spec/engine-api/container.ts";
import { CliError, command } from "../command.ts";
import { renderColumns } from "../format/columns.ts";

export const top = command({
  path: "container top",
  aliases: ["top"],
  usage: "CONTAINER [ps OPTIONS]",
  summary: "Display the running processes of a container",
  args: { min: 1, max: Number.POSITIVE_INFINITY },
  completes: "running-containers",
  flags: {},
  stopsAtFirstArgument: true,
  async run({ args, engine, out }) {
    const [name = "", ...psArguments] = args;
    const { Titles: titles, Processes: processes } = await engine.json<TopResult>("GET", `/containers/${name}/top`, {
      query: { ps_args: psArguments.join(" ") },
    });
    await out.write(renderColumns([titles, ...processes], 20));
  },
});

export const port = command({
  path: "container port",
  aliases: ["port"],
  usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
  summary: "List port mappings or a specific mapping for the container",
  args: { min: 1, max: 2 },
  completes: "running-containers",
  flags: {},
  async run({ args, engine, out }) {
    const [name = "", wanted] = args;
    const { NetworkSettings: settings } = await engine.json<ContainerInspect>("GET", `/containers/${name}/json`);
    const shown = (binding: { HostIp?: string; HostPort?: string }) => {
      const ip = binding.HostIp ?? "";
      return `${ip.includes(":") ? `[${ip}]` : ip}:${binding.HostPort}`;
    };
    if (wanted !== undefined) {
      const key = wanted.includes("/") ? wanted : `${wanted}/tcp`;
      const bindings = settings.Ports[key];
      if (bindings === undefined || bindings === null)
        throw new CliError(`Error: No public port '${key}' published for ${name}`, 1);
      for (const binding of bindings) out.line(shown(binding));
      return;
    }
    const lines = Object.entries(settings.Ports).flatMap(([key, bindings]) =>
      (bindings ?? []).map((binding) => `${key} -> ${shown(binding)}`),
    );
    for (const line of lines.sort()) out.line(line);
  },
});
