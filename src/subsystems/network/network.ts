import type { EndpointSettings, PortMap, PortSummary } from "#spec/engine-api/container.ts";
import type { Filters } from "#spec/engine-api/event.ts";
import type { NetworkResource } from "#spec/engine-api/network.ts";

/** What a container asks of the network. */
export interface SandboxRequest {
  readonly containerId: string;
  readonly containerName: string;
  /** `bridge`, `default`, `none`, `host`, `container:ID` is resolved by the caller, or a network's name or id. */
  readonly networkMode: string;
  /** Per network name: static addresses, aliases. */
  readonly endpoints: Readonly<Record<string, EndpointSettings | null>>;
  readonly macAddress?: string;
  /** Wanted publications (`-p`), keys `80/tcp`; and exposed ports, for `-P`. */
  readonly portBindings: PortMap;
  readonly exposedPorts: readonly string[];
  readonly publishAll: boolean;
}

/** A container's place in the network while it runs. JSON-safe: it is kept in the container's row. */
export interface NetworkSandbox {
  /** Path of the bind-mounted network namespace; absent for `host`. */
  readonly netnsPath?: string;
  readonly endpoints: Readonly<Record<string, EndpointSettings>>;
  /** As `inspect` shows it: keys `80/tcp`, host addresses and ports filled in; null for exposed but unpublished. */
  readonly ports: PortMap;
}

/**
 * Networks of one daemon: the bridge and nft table named after the data-root, addresses, published ports.
 * The host's forwarding, the bridge and the table are made at `open`; nobody else's rules are touched.
 */
export interface Networks {
  /**
   * Checks a request without acquiring anything, so that `create` can refuse early. Whether the network exists is asked
   * at `open`: a client that gets a 404 from `create` takes it for a missing image.
   * @throws EngineError `invalid` (bad port, bad address)
   */
  check(request: SandboxRequest): void;
  /**
   * Makes namespace, link, addresses, routes and port rules; holds the host ports.
   * On failure everything it made is gone again.
   * @throws EngineError `not-found`; `internal` with Docker's text
   *   "driver failed programming external connectivity on endpoint NAME (ID): Bind for 0.0.0.0:80 failed: port is already allocated"
   */
  open(request: SandboxRequest): Promise<NetworkSandbox>;
  /** Takes all of it down; idempotent, works from the id alone, also after a crash. */
  close(containerId: string): Promise<void>;
  /**
   * After a restart of the daemon: takes back the ports of live sandboxes (sockets held again, nft elements checked)
   * and removes every netns, link and element that belongs to none of them.
   */
  recover(live: ReadonlyMap<string, NetworkSandbox>): Promise<void>;
  list(filters?: Filters): NetworkResource[];
  /** By name, id or unique prefix. @throws EngineError `not-found` "network X not found" */
  inspect(nameOrId: string): NetworkResource;
  /** Stops helpers and lets go of held ports; live containers keep their network. */
  stop(): Promise<void>;
  /** Published ports of a sandbox as `ps` shows them. */
  summary(sandbox: NetworkSandbox | null, exposedPorts: readonly string[]): PortSummary[];
}
