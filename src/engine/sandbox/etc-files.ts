/** The texts of /etc/hosts, /etc/hostname and /etc/resolv.conf. Pure. */
import type { ContainerConfig, HostConfig } from "#spec/engine-api/container.ts";
import type { NetworkSandbox } from "#subsystems/network/network.ts";

/** What a container on a bridge asks when the host names only servers that it cannot reach. */
const fallbackServers = ["8.8.8.8", "8.8.4.4"];

/** @param hostFile the host's own file, used with host networking */
export function hostsFile(
  config: ContainerConfig,
  hostConfig: HostConfig,
  network: NetworkSandbox,
  hostFile: string | null,
): string {
  const lines =
    hostFile !== null
      ? [hostFile.trimEnd()]
      : [
          "127.0.0.1\tlocalhost",
          "::1\tlocalhost ip6-localhost ip6-loopback",
          "fe00::\tip6-localnet",
          "ff00::\tip6-mcastprefix",
          "ff02::1\tip6-allnodes",
          "ff02::2\tip6-allrouters",
        ];
  const endpoints = Object.values(network.endpoints);
  const gateway = endpoints.map((endpoint) => endpoint.Gateway ?? "").find((address) => address !== "");
  for (const entry of hostConfig.ExtraHosts ?? []) {
    const colon = entry.indexOf(":");
    const address = entry.slice(colon + 1).replace(/^\[(.*)\]$/, "$1");
    const resolved = address === "host-gateway" ? (gateway ?? "127.0.0.1") : address;
    lines.push(`${resolved}\t${entry.slice(0, colon)}`);
  }
  const { Hostname: name = "", Domainname: domain = "" } = config;
  const names = domain === "" ? name : `${name}.${domain} ${name}`;
  if (hostFile === null && name !== "") {
    for (const { IPAddress, GlobalIPv6Address } of endpoints) {
      if (IPAddress) lines.push(`${IPAddress}\t${names}`);
      if (GlobalIPv6Address) lines.push(`${GlobalIPv6Address}\t${names}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

/** @param hostFile the host's resolv.conf; its loopback servers are of no use outside the host's own namespace */
export function resolvFile(hostConfig: HostConfig, hostFile: string): string {
  const asked = {
    nameserver: hostConfig.Dns ?? [],
    search: (hostConfig.DnsSearch ?? []).filter((domain) => domain !== ""),
    options: hostConfig.DnsOptions ?? [],
  };
  const hostNetwork = hostConfig.NetworkMode === "host";
  const nothingAsked = asked.nameserver.length + (hostConfig.DnsSearch ?? []).length + asked.options.length === 0;
  if (hostNetwork && nothingAsked) return hostFile;
  const words = (key: string) =>
    hostFile.split("\n").flatMap((line) => {
      const [first, ...rest] = line.trim().split(/\s+/);
      return first === key ? [rest] : [];
    });
  const reachable = (address: string) =>
    hostNetwork || !(address.startsWith("127.") || address === "::1" || address.startsWith("fe80:"));
  const hostServers = words("nameserver").flatMap(([address = ""]) => (reachable(address) ? [address] : []));
  const servers =
    asked.nameserver.length > 0 ? asked.nameserver : hostServers.length > 0 ? hostServers : fallbackServers;
  // `--dns-search .` asks for no search at all.
  const search = (hostConfig.DnsSearch ?? []).length > 0 ? asked.search : (words("search").at(-1) ?? []);
  const options = asked.options.length > 0 ? asked.options : words("options").flat();
  const lines = servers.map((address) => `nameserver ${address}`);
  const domains = search.filter((domain) => domain !== ".");
  if (domains.length > 0) lines.push(`search ${domains.join(" ")}`);
  if (options.length > 0) lines.push(`options ${options.join(" ")}`);
  return `${lines.join("\n")}\n`;
}
