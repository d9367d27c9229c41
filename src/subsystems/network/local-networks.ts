import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError } from "#base/errors.ts";
import { newId } from "#base/ids.ts";
import type { Logger } from "#base/log.ts";
import { NetworkNamespaces } from "#linux/namespace/namespace.ts";
import { Netlink, request as netlinkRequest } from "#linux/netlink/netlink.ts";
import { type Nftables, openNftables } from "#linux/nftables/nftables.ts";
import type { EndpointSettings, PortMap, PortSummary } from "#spec/engine-api/container.ts";
import type { Filters } from "#spec/engine-api/event.ts";
import type { NetworkResource } from "#spec/engine-api/network.ts";
import type { Metadata } from "#store/metadata/metadata.ts";
import { type Bridge, openBridge } from "./host-network.ts";
import type { NetworkSandbox, Networks, SandboxRequest } from "./network.ts";
import { type NetworkRow, networkPredicate, resourceOf } from "./network-rows.ts";
import { type Publication, PublishedPorts, publicationWishes } from "./published-ports.ts";
import { addPorts, dropTable, type RulesetNames, removePorts, wholeTable } from "./ruleset.ts";
import { AddressPool, ipv4Text, macOf, parseIpv4, subnetText } from "./subnet.ts";

export interface NetworkOptions {
  readonly metadata: Metadata;
  readonly execRoot: string;
  readonly bridgeName: string;
  readonly tableName: string;
  /** Begins the name of every host link; at most 5 characters. */
  readonly linkPrefix: string;
  readonly bip: string | undefined;
  /** `bridgeName` is the user's own bridge. */
  readonly useBridge: boolean;
  readonly log: Logger;
}

const linkNameMax = 15;
const migrations = [
  "CREATE TABLE network (name TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, driver TEXT NOT NULL, created TEXT NOT NULL, subnet TEXT) STRICT",
];
/** Docker's three networks and their drivers. */
const builtIn: readonly (readonly [string, string])[] = [
  ["bridge", "bridge"],
  ["host", "host"],
  ["none", "null"],
];

/** Opens the network room: rows, bridge, forwarding. The table is written by `recover`. */
export async function openNetworks(options: NetworkOptions): Promise<LocalNetworks> {
  options.metadata.migrate("network", migrations);
  for (const [name, driver] of builtIn) {
    options.metadata
      .query("INSERT OR IGNORE INTO network VALUES (?, ?, ?, ?, NULL)")
      .run(name, newId(), driver, new Date().toISOString());
  }
  mkdirSync(join(options.execRoot, "netns"), { recursive: true, mode: 0o700 });
  const netlink = new Netlink();
  const rows = () => options.metadata.query<NetworkRow>("SELECT * FROM network ORDER BY name").all();
  const remembered = rows().find((row) => row.name === "bridge")?.subnet ?? undefined;
  const bridge = openBridge(netlink, {
    name: options.bridgeName,
    bip: options.bip,
    existing: options.useBridge,
    remembered,
  });
  options.metadata.query("UPDATE network SET subnet = ? WHERE name = 'bridge'").run(subnetText(bridge.subnet));
  return new LocalNetworks(options, netlink, openNftables(), bridge, rows());
}

export class LocalNetworks implements Networks {
  readonly #namespaces = new NetworkNamespaces();
  readonly #ports = new PublishedPorts();
  readonly #addresses: AddressPool;
  readonly #names: RulesetNames;
  /** Who has a sandbox, as far as this daemon knows. */
  readonly #live = new Map<
    string,
    { readonly name: string; readonly sandbox: NetworkSandbox; readonly publications: readonly Publication[] }
  >();

  constructor(
    private readonly options: NetworkOptions,
    private readonly netlink: Netlink,
    private readonly nftables: Nftables,
    private readonly bridge: Bridge,
    private readonly rows: readonly NetworkRow[],
  ) {
    this.#addresses = new AddressPool(bridge.subnet, bridge.gateway);
    this.#names = { table: options.tableName, bridge: bridge.name, subnet: bridge.subnet };
  }

  #netnsPath(containerId: string): string {
    return join(this.options.execRoot, "netns", containerId);
  }

  #linkName(containerId: string): string {
    return `${this.options.linkPrefix}${containerId}`.slice(0, linkNameMax);
  }

  #row(nameOrId: string): NetworkRow {
    const wanted = nameOrId === "default" ? "bridge" : nameOrId;
    const exact = this.rows.find((row) => row.name === wanted || row.id === wanted);
    const byPrefix = this.rows.filter((row) => wanted.length > 0 && row.id.startsWith(wanted));
    const found = exact ?? (byPrefix.length === 1 ? byPrefix[0] : undefined);
    if (found === undefined) throw new EngineError("not-found", nameOrId, `network ${nameOrId} not found`);
    return found;
  }

  check(request: SandboxRequest): void {
    publicationWishes(request.portBindings, request.exposedPorts, request.publishAll);
    const mac = request.macAddress ?? "";
    if (mac !== "" && !/^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$/.test(mac)) {
      throw new EngineError("invalid", mac, `invalid MAC address: address ${mac}: invalid MAC address`);
    }
  }

  async open(request: SandboxRequest): Promise<NetworkSandbox> {
    const row = this.#row(request.networkMode);
    if (row.driver === "host")
      return this.#keep(request, { endpoints: { [row.name]: { NetworkID: row.id } }, ports: {} }, []);
    const netnsPath = this.#netnsPath(request.containerId);
    if (row.driver === "null") {
      await this.#namespaces.open(netnsPath, null);
      return this.#keep(request, { netnsPath, endpoints: { [row.name]: { NetworkID: row.id } }, ports: {} }, []);
    }
    return this.#openBridged(request, row, netnsPath);
  }

  #keep(request: SandboxRequest, sandbox: NetworkSandbox, publications: readonly Publication[]): NetworkSandbox {
    this.#live.set(request.containerId, { name: request.containerName, sandbox, publications });
    return sandbox;
  }

  async #openBridged(request: SandboxRequest, row: NetworkRow, netnsPath: string): Promise<NetworkSandbox> {
    const { containerId, containerName } = request;
    await using undo = new AsyncDisposableStack();
    undo.defer(() => this.#addresses.release(containerId));
    const address = this.#addresses.take(containerId);
    if (address === null)
      throw new EngineError(
        "unavailable",
        row.name,
        `no available IPv4 addresses on this network's address pools: ${row.name} (${row.id})`,
      );
    const ip = ipv4Text(address);
    const endpointId = newId();
    undo.defer(() => this.#ports.release(containerId));
    const wishes = publicationWishes(request.portBindings, request.exposedPorts, request.publishAll);
    const publications = await this.#ports.publish(containerId, `${containerName} (${endpointId})`, ip, wishes);
    const mac = request.macAddress || request.endpoints[row.name]?.MacAddress || macOf(address);
    undo.defer(() => this.#namespaces.close(netnsPath));
    await this.#namespaces.open(netnsPath, {
      name: this.#linkName(containerId),
      master: this.bridge.index,
      mtu: this.bridge.mtu,
      peer: "eth0",
      peerMac: mac,
      address: ip,
      prefixLength: this.bridge.subnet.prefixLength,
      gateway: ipv4Text(this.bridge.gateway),
    });
    const commands = addPorts(this.#names, ip, publications);
    if (commands !== "") {
      this.nftables.run(commands);
      allowHairpin(this.#linkName(containerId));
    }
    undo.move();
    const endpoint: EndpointSettings = {
      IPAMConfig: null,
      Links: null,
      Aliases: null,
      DriverOpts: null,
      GwPriority: 0,
      NetworkID: row.id,
      EndpointID: endpointId,
      Gateway: ipv4Text(this.bridge.gateway),
      IPAddress: ip,
      IPPrefixLen: this.bridge.subnet.prefixLength,
      IPv6Gateway: "",
      GlobalIPv6Address: "",
      GlobalIPv6PrefixLen: 0,
      MacAddress: mac.toLowerCase(),
      DNSNames: null,
    };
    return this.#keep(
      request,
      { netnsPath, endpoints: { [row.name]: endpoint }, ports: portMap(publications, request.exposedPorts) },
      publications,
    );
  }

  async close(containerId: string): Promise<void> {
    const live = this.#live.get(containerId);
    this.#live.delete(containerId);
    this.#ports.release(containerId);
    const commands = live === undefined ? "" : removePorts(this.#names, live.publications);
    try {
      if (commands !== "") this.nftables.run(commands);
    } catch (error) {
      // Somebody flushed our table: written anew, it has exactly what is live.
      this.options.log.warn("published ports were not in the nftables table; writing it anew", {
        container: containerId,
        error,
      });
      this.#writeTable();
    } finally {
      await this.#namespaces.close(this.#netnsPath(containerId));
      this.#addresses.release(containerId);
    }
  }

  #writeTable(): void {
    const published = [...this.#live.values()].flatMap(({ sandbox, publications }) => {
      const ip = bridgeAddress(sandbox);
      return ip === null ? [] : [{ ip, publications }];
    });
    this.nftables.run(wholeTable(this.#names, published));
  }

  async recover(live: ReadonlyMap<string, NetworkSandbox>): Promise<void> {
    for (const [id, sandbox] of live) {
      const publications = publicationsOf(sandbox.ports);
      this.#live.set(id, { name: id, sandbox, publications });
      const ip = bridgeAddress(sandbox);
      const number = ip === null ? null : parseIpv4(ip);
      if (ip === null || number === null) continue;
      this.#addresses.reserve(number, id);
      for (const lost of await this.#ports.retake(id, ip, publications))
        this.options.log.warn("a published port is held by another process now", { container: id, why: lost });
    }
    this.#writeTable();
    for (const name of readdirSync(join(this.options.execRoot, "netns")))
      if (!live.has(name)) await this.#namespaces.close(this.#netnsPath(name));
    const wanted = new Set([...live.keys()].map((id) => this.#linkName(id)));
    for (const link of this.netlink.links()) {
      if (!this.#isOurs(link.name) || wanted.has(link.name)) continue;
      try {
        this.netlink.run([netlinkRequest.deleteLink(link.name)], link.name);
      } catch {
        // its namespace, unmounted above, took it along
      }
    }
  }

  #isOurs(linkName: string): boolean {
    return (
      linkName.length === linkNameMax &&
      linkName.startsWith(this.options.linkPrefix) &&
      /^[0-9a-f]+$/.test(linkName.slice(this.options.linkPrefix.length))
    );
  }

  list(filters: Filters = {}): NetworkResource[] {
    const matches = networkPredicate(filters);
    return this.rows.filter(matches).map((row) => resourceOf(row, this.bridge, new Map()));
  }

  inspect(nameOrId: string): NetworkResource {
    const row = this.#row(nameOrId);
    const users = new Map([...this.#live].filter(([, { sandbox }]) => row.name in sandbox.endpoints));
    return resourceOf(row, this.bridge, users);
  }

  /** Faults of the host's own firewall that would hold back containers' packets. */
  warnings(): string[] {
    try {
      const text = this.nftables.run("list chains");
      const table = /table (?:ip|inet) (\S+) \{[^}]*type filter hook forward[^;]*; policy drop;/.exec(text)?.[1];
      return table === undefined || table === this.options.tableName
        ? []
        : [
            `another firewall drops forwarded packets by default (table ${table}, hook forward): containers on ${this.bridge.name} may not reach, or be reached from, other hosts`,
          ];
    } catch {
      return [];
    }
  }

  async stop(): Promise<void> {
    this.#ports.releaseAll();
    const idle = this.#live.size === 0;
    if (idle) {
      this.nftables.run(dropTable(this.#names));
      if (!this.options.useBridge) this.netlink.run([netlinkRequest.deleteLink(this.bridge.name)], this.bridge.name);
    }
    this.#namespaces.stop();
    this.netlink[Symbol.dispose]();
  }

  summary(sandbox: NetworkSandbox | null, exposedPorts: readonly string[]): PortSummary[] {
    if (sandbox === null) return [];
    const ports: PortMap = { ...Object.fromEntries(exposedPorts.map((port) => [port, null])), ...sandbox.ports };
    return Object.entries(ports).flatMap(([port, bindings]) => {
      const [number = "", protocol = "tcp"] = port.split("/");
      const common = { PrivatePort: Number(number), Type: protocol };
      if (bindings === null) return [common];
      return bindings.map((binding) => ({ IP: binding.HostIp ?? "", ...common, PublicPort: Number(binding.HostPort) }));
    });
  }
}

/**
 * Lets a container come back to itself through its own published port. Where br_netfilter is loaded (a dockerd does that),
 * the rules already apply on the bridge, and the packet has to leave by the port it came from.
 */
function allowHairpin(link: string): void {
  writeFileSync(`/sys/class/net/${link}/brport/hairpin_mode`, "1");
}

function bridgeAddress(sandbox: NetworkSandbox): string | null {
  return sandbox.endpoints.bridge?.IPAddress || null;
}

function portMap(publications: readonly Publication[], exposed: readonly string[]): PortMap {
  const ports: PortMap = Object.fromEntries(exposed.map((port) => [port, null]));
  for (const { protocol, containerPort, hostIp, hostPort } of publications) {
    const key = `${containerPort}/${protocol}`;
    ports[key] = [...(ports[key] ?? []), { HostIp: hostIp, HostPort: String(hostPort) }];
  }
  return ports;
}

function publicationsOf(ports: PortMap): Publication[] {
  return Object.entries(ports).flatMap(([port, bindings]) => {
    const [number = "", protocol = "tcp"] = port.split("/");
    return (bindings ?? []).map((binding) => ({
      protocol: protocol === "udp" ? ("udp" as const) : ("tcp" as const),
      hostIp: binding.HostIp ?? "",
      hostPort: Number(binding.HostPort),
      containerPort: Number(number),
    }));
  });
}
