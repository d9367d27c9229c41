import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { configDirectory } from "#client/api-client/endpoint.ts";
import type { ContainerSummary, PortSummary } from "#spec/engine-api/container.ts";
import { command } from "../command.ts";
import { type ListFormat, printList } from "../format/table.ts";
import { ago, ellipsis, goTime, humanSize, shortId } from "../format/words.ts";
import { filterFlag, filterQuery, formatFlag } from "./filter.ts";

const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** Docker's words for ports: equal neighbours joined to ranges. */
export function portsText(ports: readonly PortSummary[]): string {
  const groups = new Map<
    string,
    {
      first: number;
      last: number;
      privateFirst: number;
      privateLast: number;
      ip: string;
      type: string;
      open: boolean;
    }[]
  >();
  const sorted = [...ports].sort(
    (a, b) =>
      a.PrivatePort - b.PrivatePort ||
      (a.PublicPort ?? 0) - (b.PublicPort ?? 0) ||
      byText(a.IP ?? "", b.IP ?? "") ||
      byText(a.Type, b.Type),
  );
  for (const { IP: ip = "", PrivatePort, PublicPort, Type } of sorted) {
    const open = PublicPort !== undefined;
    const key = `${open ? ip : ""}/${Type}/${open}`;
    const runs = groups.get(key) ?? [];
    groups.set(key, runs);
    const last = runs.at(-1);
    const own = PublicPort ?? PrivatePort;
    if (last !== undefined && last.privateLast + 1 === PrivatePort && last.last + 1 === own) {
      last.last = own;
      last.privateLast = PrivatePort;
    } else if (last === undefined || last.privateLast !== PrivatePort || last.last !== own) {
      runs.push({ first: own, last: own, privateFirst: PrivatePort, privateLast: PrivatePort, ip, type: Type, open });
    }
  }
  const range = (first: number, last: number) => (first === last ? String(first) : `${first}-${last}`);
  return [...groups.values()]
    .flat()
    .sort((a, b) => a.privateFirst - b.privateFirst || Number(b.open) - Number(a.open))
    .map((run) => {
      const inside = `${range(run.privateFirst, run.privateLast)}/${run.type}`;
      if (!run.open) return inside;
      return `${run.ip.includes(":") ? `[${run.ip}]` : run.ip}:${range(run.first, run.last)}->${inside}`;
    })
    .join(", ");
}

/** @param noTrunc show ids and commands in full */
function containerFormat(noTrunc: boolean, size: boolean): ListFormat<ContainerSummary> {
  return {
    type: "*formatter.ContainerContext",
    headers: {
      ID: "CONTAINER ID",
      RunningFor: "CREATED",
      CreatedAt: "CREATED AT",
      Labels: "LABELS",
      LocalVolumes: "LOCAL VOLUMES",
    },
    table: `{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}${size ? "\t{{.Size}}" : ""}`,
    quiet: "{{.ID}}",
    fields: (container) => ({
      Command: JSON.stringify(noTrunc ? container.Command : ellipsis(container.Command, 20)),
      CreatedAt: goTime(container.Created),
      ID: noTrunc ? container.Id : shortId(container.Id),
      Image: noTrunc || !container.Image.startsWith("sha256:") ? container.Image : shortId(container.Image),
      Labels: Object.entries(container.Labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(","),
      LocalVolumes: String(container.Mounts.filter((mount) => mount.Driver === "local").length),
      Mounts: container.Mounts.map((mount) =>
        noTrunc ? mount.Name || mount.Source : ellipsis(mount.Name || mount.Source, 15),
      ).join(","),
      Names: container.Names.map((name) => name.replace(/^\//, "")).join(","),
      Networks: Object.keys(container.NetworkSettings.Networks).sort().join(","),
      Ports: portsText(container.Ports),
      RunningFor: ago(container.Created),
      Size:
        container.SizeRw === undefined
          ? "0B"
          : `${humanSize(container.SizeRw)}${container.SizeRootFs ? ` (virtual ${humanSize(container.SizeRootFs)})` : ""}`,
      State: container.State,
      Status: container.Status,
      Label: (key: unknown) => container.Labels[String(key)] ?? "",
    }),
  };
}

/** A default of the user's own from Docker's config file. */
export function configuredFormat(key: "psFormat" | "imagesFormat"): string | undefined {
  const file = join(configDirectory(), "config.json");
  if (!existsSync(file)) return undefined;
  try {
    const value = (JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>)[key];
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

export const ps = command({
  path: "container ls",
  aliases: ["ps", "container list", "container ps"],
  usage: "",
  summary: "List containers",
  args: { min: 0, max: 0 },
  flags: {
    all: { kind: "bool", short: "a", help: "Show all containers (default shows just running)" },
    filter: filterFlag,
    format: formatFlag,
    last: { kind: "int", short: "n", help: "Show n last created containers (includes all states)", default: "-1" },
    latest: { kind: "bool", short: "l", help: "Show the latest created container (includes all states)" },
    "no-trunc": { kind: "bool", help: "Don't truncate output" },
    quiet: { kind: "bool", short: "q", help: "Only display container IDs" },
    size: { kind: "bool", short: "s", help: "Display total file sizes" },
  },
  async run({ flags, engine, out }) {
    const limit = flags.latest ? 1 : flags.last !== undefined && flags.last > 0 ? flags.last : undefined;
    const asked = flags.format ?? (flags.quiet ? undefined : configuredFormat("psFormat"));
    const size = flags.size || /\.Size\b/.test(asked ?? "");
    const containers = await engine.json<ContainerSummary[]>("GET", "/containers/json", {
      query: { all: flags.all, limit, size, filters: filterQuery(flags.filter) },
    });
    await printList(out, containers, containerFormat(flags["no-trunc"], flags.size), {
      ...(asked !== undefined && { format: asked }),
      quiet: flags.quiet,
    });
  },
});
