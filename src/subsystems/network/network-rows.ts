import { EngineError } from "#base/errors.ts";
import type { Filters } from "#spec/engine-api/event.ts";
import type { NetworkResource } from "#spec/engine-api/network.ts";
import type { Bridge } from "./host-network.ts";
import type { NetworkSandbox } from "./network.ts";
import { ipv4Text, subnetText } from "./subnet.ts";

export interface NetworkRow {
  readonly name: string;
  readonly id: string;
  readonly driver: string;
  readonly created: string;
  readonly subnet: string | null;
}

type Predicate = (row: NetworkRow) => boolean;

const filterKeys: Record<string, (value: string) => Predicate> = {
  name: (value) => (row) => row.name.includes(value),
  id: (value) => (row) => row.id.startsWith(value),
  driver: (value) => (row) => row.driver === value,
  scope: (value) => () => value === "local",
  type: (value) => () => {
    if (value !== "builtin" && value !== "custom")
      throw new EngineError("invalid", "type", `invalid filter: 'type'='${value}'`);
    return value === "builtin";
  },
  dangling: (value) => () => value === "false" || value === "0",
  label: () => () => false,
};

/** One test out of Docker's filters of `network ls`. @throws EngineError `invalid` for an unknown key */
export function networkPredicate(filters: Filters): Predicate {
  const tests = Object.entries(filters).map(([key, values]): Predicate => {
    const build = filterKeys[key];
    if (build === undefined) throw new EngineError("invalid", key, `invalid filter '${key}'`);
    const each = values.map(build);
    return (row) => each.length === 0 || each.some((test) => test(row));
  });
  return (row) => tests.every((test) => test(row));
}

/** A network as the API shows it. */
export function resourceOf(
  row: NetworkRow,
  bridge: Bridge,
  users: ReadonlyMap<string, { readonly name: string; readonly sandbox: NetworkSandbox }>,
): NetworkResource {
  const isBridge = row.driver === "bridge";
  const containers = [...users].map(([id, { name, sandbox }]) => {
    const endpoint = sandbox.endpoints[row.name];
    const address = endpoint?.IPAddress ? `${endpoint.IPAddress}/${endpoint.IPPrefixLen}` : "";
    return [
      id,
      {
        Name: name,
        EndpointID: endpoint?.EndpointID ?? "",
        MacAddress: endpoint?.MacAddress ?? "",
        IPv4Address: address,
        IPv6Address: "",
      },
    ];
  });
  return {
    Name: row.name,
    Id: row.id,
    Created: row.created,
    Scope: "local",
    Driver: row.driver,
    EnableIPv4: true,
    EnableIPv6: false,
    IPAM: {
      Driver: "default",
      Options: null,
      Config: isBridge ? [{ Subnet: subnetText(bridge.subnet), Gateway: ipv4Text(bridge.gateway) }] : [],
    },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: Object.fromEntries(containers) as NonNullable<NetworkResource["Containers"]>,
    Options: isBridge
      ? {
          "com.docker.network.bridge.default_bridge": "true",
          "com.docker.network.bridge.enable_icc": "true",
          "com.docker.network.bridge.enable_ip_masquerade": "true",
          "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
          "com.docker.network.bridge.name": bridge.name,
          "com.docker.network.driver.mtu": String(bridge.mtu),
        }
      : {},
    Labels: {},
  };
}
