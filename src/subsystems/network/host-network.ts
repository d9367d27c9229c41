import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { EngineError } from "#base/errors.ts";
import { type Netlink, request } from "#linux/netlink/netlink.ts";
import { candidateSubnets, ipv4Text, overlaps, parseCidr, type Subnet } from "./subnet.ts";

const mtuDefault = 1500;

export interface Bridge {
  readonly name: string;
  readonly index: number;
  readonly mtu: number;
  readonly subnet: Subnet;
  readonly gateway: number;
}

export interface BridgeWish {
  readonly name: string;
  /** `--bip`: the bridge's own address with its prefix. */
  readonly bip: string | undefined;
  /** The user's own bridge: used as it is, never made or removed. */
  readonly existing: boolean;
  /** The subnet of last time, kept if it still fits. */
  readonly remembered: string | undefined;
}

/** Makes or finds the bridge, with its address. @throws EngineError `invalid` for a bad `bip`, `unavailable` when no subnet is free */
export function openBridge(netlink: Netlink, wish: BridgeWish): Bridge {
  const present = netlink.linkIndex(wish.name);
  if (wish.existing && present === null)
    throw new EngineError("invalid", wish.name, `bridge ${wish.name} does not exist`);
  const index = present ?? makeBridge(netlink, wish.name);
  const own = netlink.ipv4Addresses().find((address) => address.index === index);
  const place = choosePlace(netlink, wish, own);
  if (own === undefined)
    netlink.run([request.addAddress(index, ipv4Text(place.gateway), place.subnet.prefixLength)], wish.name);
  if (!wish.existing) prepareHost(wish.name);
  return { name: wish.name, index, mtu: mtuDefault, ...place };
}

function makeBridge(netlink: Netlink, name: string): number {
  netlink.run([request.createBridge(name, mtuDefault, randomMac())], name);
  const index = netlink.linkIndex(name);
  if (index === null) throw new EngineError("internal", name, `bridge ${name} is gone right after it was made`);
  return index;
}

/** Locally administered, unicast. */
function randomMac(): string {
  return ["02", ...[...randomBytes(5)].map((byte) => byte.toString(16).padStart(2, "0"))].join(":");
}

function choosePlace(
  netlink: Netlink,
  wish: BridgeWish,
  own: { address: string; prefixLength: number } | undefined,
): { subnet: Subnet; gateway: number } {
  if (own !== undefined) {
    const found = parseCidr(`${own.address}/${own.prefixLength}`);
    if (found !== null) return { subnet: found.subnet, gateway: found.address };
  }
  if (wish.bip !== undefined) {
    const wanted = parseCidr(wish.bip);
    if (wanted === null || wanted.subnet.prefixLength > 30 || wanted.address === wanted.subnet.base) {
      throw new EngineError(
        "invalid",
        "bip",
        `invalid bridge address: ${wish.bip}: want ADDRESS/PREFIX such as 10.10.0.1/24`,
      );
    }
    return { subnet: wanted.subnet, gateway: wanted.address };
  }
  const taken = netlink.ipv4Networks().flatMap((text) => parseCidr(text)?.subnet ?? []);
  const remembered = wish.remembered === undefined ? null : parseCidr(wish.remembered);
  const candidates = remembered === null ? candidateSubnets() : [remembered.subnet, ...candidateSubnets()];
  for (const subnet of candidates) {
    if (taken.some((other) => overlaps(other, subnet))) continue;
    return { subnet, gateway: subnet.base + 1 };
  }
  throw new EngineError(
    "unavailable",
    wish.name,
    "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
  );
}

/** Forwarding on; the way from loopback to published ports; no router advertisements on the bridge. */
function prepareHost(bridge: string): void {
  setSysctl("net/ipv4/ip_forward", "1");
  setSysctl(`net/ipv4/conf/${bridge}/route_localnet`, "1");
  setSysctl(`net/ipv6/conf/${bridge}/accept_ra`, "0");
}

function setSysctl(key: string, value: string): void {
  const path = `/proc/sys/${key}`;
  if (!existsSync(path) || readFileSync(path, "utf8").trim() === value) return;
  writeFileSync(path, value);
}
