/** Our one nftables table as text. Others' tables are never named here. @see nft(8) */

import type { Publication } from "./published-ports.ts";
import { parseIpv4, type Subnet, subnetText } from "./subnet.ts";

export interface RulesetNames {
  readonly table: string;
  readonly bridge: string;
  readonly subnet: Subnet;
}

/** A published port as map elements; IPv6 addresses have none, since the bridge speaks IPv4 alone. */
function element(publication: Publication): { map: string; key: string } | null {
  const { protocol, hostIp, hostPort } = publication;
  if (parseIpv4(hostIp) === null) return null;
  if (hostIp === "0.0.0.0") return { map: "published", key: `${protocol} . ${hostPort}` };
  return { map: "published_at", key: `${hostIp} . ${protocol} . ${hostPort}` };
}

/** Commands that lead published ports to a container. */
export function addPorts(names: RulesetNames, targetIp: string, publications: readonly Publication[]): string {
  return publications
    .flatMap((publication) => {
      const place = element(publication);
      if (place === null) return [];
      return [
        `add element inet ${names.table} ${place.map} { ${place.key} : ${targetIp} . ${publication.containerPort} }\n`,
      ];
    })
    .join("");
}

/** Commands that take them away; each must exist. */
export function removePorts(names: RulesetNames, publications: readonly Publication[]): string {
  return publications
    .flatMap((publication) => {
      const place = element(publication);
      return place === null ? [] : [`delete element inet ${names.table} ${place.map} { ${place.key} }\n`];
    })
    .join("");
}

/** Removes the table, whether it is there or not. */
export function dropTable(names: RulesetNames): string {
  return `add table inet ${names.table}\ndelete table inet ${names.table}\n`;
}

/**
 * The whole table anew, in one transaction with what is published.
 * - guard: nothing from the bridge reaches the host's loopback, although route_localnet is on for the way out
 * - prerouting, output: a published port is one map element, for outside clients and for this host
 * - postrouting: containers speak with the host's address outside; a container that comes back to its own network
 *   through a published port, and clients from loopback, get the bridge's address, so that answers return the same way
 * - forward: only answers, neighbours and published ports get in
 */
export function wholeTable(
  names: RulesetNames,
  published: readonly { readonly ip: string; readonly publications: readonly Publication[] }[],
): string {
  const { table, bridge, subnet } = names;
  const inside = subnetText(subnet);
  const toContainer = `fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @published_at
    fib daddr type local meta nfproto ipv4 dnat ip to meta l4proto . th dport map @published`;
  return `${dropTable(names)}table inet ${table} {
  map published { type inet_proto . inet_service : ipv4_addr . inet_service; }
  map published_at { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
  chain guard {
    type filter hook prerouting priority raw; policy accept;
    iifname "${bridge}" ip daddr 127.0.0.0/8 drop
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    ${toContainer}
  }
  chain output {
    type nat hook output priority -100; policy accept;
    ${toContainer}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${inside} oifname != "${bridge}" masquerade
    ip saddr ${inside} oifname "${bridge}" ct status dnat masquerade
    ip saddr 127.0.0.0/8 oifname "${bridge}" masquerade
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    oifname "${bridge}" ct state established,related accept
    oifname "${bridge}" iifname "${bridge}" accept
    oifname "${bridge}" ct status dnat accept
    oifname "${bridge}" drop
  }
}
${published.map(({ ip, publications }) => addPorts(names, ip, publications)).join("")}`;
}
