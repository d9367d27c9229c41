import type { Volume } from "#spec/engine-api/volume.ts";
import { command } from "../command.ts";
import { type ListFormat, printList } from "../format/table.ts";
import { forEachInTurn } from "./each.ts";
import { filterFlag, filterQuery, formatFlag } from "./filter.ts";

const pairs = (list: readonly string[]) =>
  Object.fromEntries(
    list.map((text) =>
      text.includes("=") ? [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)] : [text, ""],
    ),
  );

export const volumeCreate = command({
  path: "volume create",
  usage: "[VOLUME]",
  summary: "Create a volume",
  args: { min: 0, max: 1 },
  flags: {
    driver: { kind: "string", short: "d", help: "Specify volume driver name", default: '"local"' },
    label: { kind: "list", help: "Set metadata for a volume" },
    name: { kind: "string", help: "Specify volume name", hidden: true },
    opt: { kind: "list", short: "o", type: "map", help: "Set driver specific options" },
  },
  async run({ args, flags, engine, out }) {
    const volume = await engine.json<Volume>("POST", "/volumes/create", {
      json: {
        Name: args[0] ?? flags.name ?? "",
        Driver: flags.driver ?? "local",
        DriverOpts: pairs(flags.opt),
        Labels: pairs(flags.label),
      },
    });
    out.line(volume.Name);
  },
});

const volumeFormat: ListFormat<Volume> = {
  type: "*formatter.volumeContext",
  headers: { Name: "VOLUME NAME" },
  table: "{{.Driver}}\t{{.Name}}",
  quiet: "{{.Name}}",
  fields: (volume) => ({
    Availability: "N/A",
    Driver: volume.Driver,
    Group: "N/A",
    Labels: Object.entries(volume.Labels ?? {})
      .map(([key, value]) => `${key}=${value}`)
      .join(","),
    Links: "N/A",
    Mountpoint: volume.Mountpoint,
    Name: volume.Name,
    Scope: volume.Scope,
    Size: "N/A",
    Status: "N/A",
    Label: (key: unknown) => volume.Labels?.[String(key)] ?? "",
  }),
};

export const volumeLs = command({
  path: "volume ls",
  aliases: ["volume list"],
  usage: "",
  summary: "List volumes",
  args: { min: 0, max: 0 },
  flags: {
    filter: filterFlag,
    format: formatFlag,
    quiet: { kind: "bool", short: "q", help: "Only display volume names" },
  },
  async run({ flags, engine, out }) {
    const { Volumes: volumes } = await engine.json<{ Volumes: Volume[] | null }>("GET", "/volumes", {
      query: { filters: filterQuery(flags.filter) },
    });
    const sorted = [...(volumes ?? [])].sort((a, b) => (a.Name < b.Name ? -1 : 1));
    await printList(out, sorted, volumeFormat, {
      ...(flags.format !== undefined && { format: flags.format }),
      quiet: flags.quiet,
    });
  },
});

export const volumeRm = command({
  path: "volume rm",
  aliases: ["volume remove"],
  usage: "VOLUME [VOLUME...]",
  summary: "Remove one or more volumes",
  args: { min: 1, max: Number.POSITIVE_INFINITY },
  completes: "volumes",
  flags: { force: { kind: "bool", short: "f", help: "Force the removal of one or more volumes" } },
  run: ({ args, flags, engine, out }) =>
    forEachInTurn(out, args, (name) => engine.send("DELETE", `/volumes/${name}`, { query: { force: flags.force } })),
});
