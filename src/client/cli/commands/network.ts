import type { NetworkResource } from "#spec/engine-api/network.ts";
import { command } from "../command.ts";
import { type ListFormat, printList } from "../format/table.ts";
import { goTime, shortId } from "../format/words.ts";
import { filterFlag, filterQuery, formatFlag } from "./filter.ts";

function networkFormat(noTrunc: boolean): ListFormat<NetworkResource> {
  return {
    type: "*network.networkContext",
    headers: { ID: "NETWORK ID", CreatedAt: "CREATED AT" },
    table: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
    quiet: "{{.ID}}",
    fields: (network) => ({
      CreatedAt: goTime(Date.parse(network.Created) / 1000),
      Driver: network.Driver,
      ID: noTrunc ? network.Id : shortId(network.Id),
      IPv4: String(network.EnableIPv4),
      IPv6: String(network.EnableIPv6),
      Internal: String(network.Internal),
      Labels: Object.entries(network.Labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(","),
      Name: network.Name,
      Scope: network.Scope,
      Label: (key: unknown) => network.Labels[String(key)] ?? "",
    }),
  };
}

export const networkLs = command({
  path: "network ls",
  aliases: ["network list"],
  usage: "",
  summary: "List networks",
  args: { min: 0, max: 0 },
  flags: {
    filter: filterFlag,
    format: formatFlag,
    "no-trunc": { kind: "bool", help: "Do not truncate the output" },
    quiet: { kind: "bool", short: "q", help: "Only display network IDs" },
  },
  async run({ flags, engine, out }) {
    const networks = await engine.json<NetworkResource[]>("GET", "/networks", {
      query: { filters: filterQuery(flags.filter) },
    });
    const sorted = [...networks].sort((a, b) => (a.Name < b.Name ? -1 : 1));
    await printList(out, sorted, networkFormat(flags["no-trunc"]), {
      ...(flags.format !== undefined && { format: flags.format }),
      quiet: flags.quiet,
    });
  },
});
