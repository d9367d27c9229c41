import { existsSync, readFileSync } from "node:fs";
import { EngineError, errorMessage } from "#base/errors.ts";
import type { PortBinding, PortMap } from "#spec/engine-api/container.ts";
import { parsePortRange } from "#spec/engine-api/port-spec.ts";
import { codeOf, type HeldPort, holdPort, type Protocol } from "./held-port.ts";
import { parseIpv4 } from "./subnet.ts";

/** One publication: a host address and port that lead to a container's port. */
export interface Publication {
  readonly protocol: Protocol;
  readonly hostIp: string;
  readonly hostPort: number;
  readonly containerPort: number;
}

/** What is asked for: a range stands for its first free port. */
interface Wish {
  readonly protocol: Protocol;
  readonly containerPort: number;
  /** Empty: every address, IPv4 and IPv6. */
  readonly hostIp: string;
  /** [0, 0]: the engine picks. */
  readonly range: readonly [number, number];
}

/** The ports that the kernel itself gives to clients without one of their own; Docker picks from them too. */
const ephemeralDefault: readonly [number, number] = [32_768, 60_999];

/** Reads a container's bindings. @throws EngineError `invalid` naming the port */
export function publicationWishes(bindings: PortMap, exposed: readonly string[], publishAll: boolean): Wish[] {
  const wanted = new Map<string, readonly PortBinding[]>();
  if (publishAll) for (const port of exposed) wanted.set(port, [{ HostIp: "", HostPort: "" }]);
  for (const [port, list] of Object.entries(bindings)) {
    if (list !== null && list.length > 0) wanted.set(port, list);
  }
  return [...wanted].flatMap(([port, list]) => list.map((binding) => parseWish(port, binding)));
}

function parseWish(port: string, binding: PortBinding): Wish {
  const match = /^(\d{1,5})(?:\/(\w+))?$/.exec(port);
  const containerPort = Number(match?.[1] ?? -1);
  const protocol = match?.[2] ?? "tcp";
  if (match === null || containerPort < 1 || containerPort > 65_535)
    throw new EngineError("invalid", port, `invalid port specification: "${port}"`);
  if (protocol === "sctp")
    throw new EngineError("unsupported", port, `publishing ${port}: SCTP ports cannot be published`);
  if (protocol !== "tcp" && protocol !== "udp") throw new EngineError("invalid", port, `invalid proto: ${protocol}`);
  const hostIp = (binding.HostIp ?? "").replace(/^\[(.*)\]$/, "$1");
  if (hostIp !== "" && parseIpv4(hostIp) === null && !/^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*$/.test(hostIp)) {
    throw new EngineError("invalid", port, `invalid IP address "${hostIp}" in the binding of ${port}`);
  }
  const hostPort = binding.HostPort ?? "";
  const range = hostPort === "" ? ([0, 0] as const) : parsePortRange(hostPort);
  if (range === null || range[1] > 65_535)
    throw new EngineError("invalid", port, `invalid port specification: "${hostPort}"`);
  return { protocol, containerPort, hostIp, range };
}

function hasIpv6(): boolean {
  return (
    existsSync("/proc/net/if_inet6") && readFileSync("/proc/sys/net/ipv6/conf/all/disable_ipv6", "utf8").trim() === "0"
  );
}

function addressesOf(wish: Wish): string[] {
  if (wish.hostIp !== "") return [wish.hostIp];
  return hasIpv6() ? ["0.0.0.0", "::"] : ["0.0.0.0"];
}

const isAny = (ip: string) => ip === "0.0.0.0" || ip === "::";

/** Whether two addresses claim the same packets. */
function collide(a: string, b: string): boolean {
  if (a.includes(":") !== b.includes(":")) return false;
  return a === b || isAny(a) || isAny(b);
}

/** Every host port that this daemon holds. */
export class PublishedPorts {
  readonly #held = new Map<string, HeldPort[]>();
  /** Ports being taken right now: holding one takes a turn of the event loop. */
  readonly #pending: { protocol: Protocol; ip: string; port: number }[] = [];
  #nextEphemeral = ephemeralDefault[0];

  /**
   * Takes all ports of one container, or none.
   * @param endpoint how the error names the container: "NAME (ID)"
   * @throws EngineError `internal` in Docker's words when a port is taken
   */
  async publish(owner: string, endpoint: string, targetIp: string, wishes: readonly Wish[]): Promise<Publication[]> {
    const publications: Publication[] = [];
    try {
      for (const wish of wishes) publications.push(...(await this.#grant(owner, targetIp, wish)));
    } catch (error) {
      this.release(owner);
      const text = `driver failed programming external connectivity on endpoint ${endpoint}: ${errorMessage(error)}`;
      throw new EngineError("internal", endpoint, text, { cause: error });
    }
    return publications;
  }

  async #grant(owner: string, targetIp: string, wish: Wish): Promise<Publication[]> {
    const [first, last] = wish.range;
    const ephemeral = first === 0;
    const [low, high] = ephemeral ? ephemeralRange() : [first, last];
    const count = high - low + 1;
    if (ephemeral && (this.#nextEphemeral < low || this.#nextEphemeral > high)) this.#nextEphemeral = low;
    const start = ephemeral ? this.#nextEphemeral : low;
    let failure: unknown = new Error("all ports are allocated");
    for (let step = 0; step < count; step++) {
      const port = low + ((start - low + step) % count);
      try {
        const held = await this.#holdEverywhere(owner, targetIp, wish, port);
        if (ephemeral) this.#nextEphemeral = port + 1;
        return held;
      } catch (error) {
        failure = error;
        if (codeOf(error) !== "EADDRINUSE" && !isAllocated(error)) throw error;
      }
    }
    throw count > 1 ? new Error("all ports are allocated", { cause: failure }) : failure;
  }

  async #holdEverywhere(owner: string, targetIp: string, wish: Wish, port: number): Promise<Publication[]> {
    const { protocol, containerPort } = wish;
    const taken: HeldPort[] = [];
    try {
      for (const ip of addressesOf(wish))
        taken.push(await this.#hold(protocol, ip, port, { ip: targetIp, port: containerPort }));
    } catch (error) {
      for (const held of taken) held.close();
      throw error;
    }
    this.#held.set(owner, [...(this.#held.get(owner) ?? []), ...taken]);
    return taken.map(({ ip }) => ({ protocol, hostIp: ip, hostPort: port, containerPort }));
  }

  async #hold(protocol: Protocol, ip: string, port: number, target: { ip: string; port: number }): Promise<HeldPort> {
    const rivals = [...[...this.#held.values()].flat(), ...this.#pending];
    if (rivals.some((rival) => rival.protocol === protocol && rival.port === port && collide(rival.ip, ip))) {
      throw Object.assign(new Error(`Bind for ${hostText(ip)}:${port} failed: port is already allocated`), {
        code: allocated,
      });
    }
    const claim = { protocol, ip, port };
    this.#pending.push(claim);
    try {
      return await holdPort(protocol, ip, port, target);
    } catch (error) {
      const code = codeOf(error);
      const why = reasons[code] ?? errorMessage(error);
      const place = `${hostText(ip)}:${port}:${target.ip}:${target.port}/${protocol}`;
      throw Object.assign(new Error(`failed to bind host port for ${place}: ${why}`, { cause: error }), { code });
    } finally {
      this.#pending.splice(this.#pending.indexOf(claim), 1);
    }
  }

  /** Takes back what a live container has published, after a restart. Ports that somebody took meanwhile are reported. */
  async retake(owner: string, targetIp: string, publications: readonly Publication[]): Promise<string[]> {
    const lost: string[] = [];
    for (const { protocol, hostIp, hostPort, containerPort } of publications) {
      try {
        const held = await this.#hold(protocol, hostIp, hostPort, { ip: targetIp, port: containerPort });
        this.#held.set(owner, [...(this.#held.get(owner) ?? []), held]);
      } catch (error) {
        lost.push(errorMessage(error));
      }
    }
    return lost;
  }

  release(owner: string): void {
    for (const held of this.#held.get(owner) ?? []) held.close();
    this.#held.delete(owner);
  }

  releaseAll(): void {
    for (const owner of [...this.#held.keys()]) this.release(owner);
  }
}

const allocated = "ALLOCATED";
const isAllocated = (error: unknown) => codeOf(error) === allocated;

const reasons: Record<string, string> = {
  EADDRINUSE: "address already in use",
  EADDRNOTAVAIL: "cannot assign requested address",
  EACCES: "permission denied",
};

function hostText(ip: string): string {
  return ip.includes(":") ? `[${ip}]` : ip;
}

function ephemeralRange(): readonly [number, number] {
  try {
    const [low, high] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").trim().split(/\s+/).map(Number);
    if (low !== undefined && high !== undefined && low > 0 && high >= low) return [low, high];
  } catch {
    // the kernel's own default
  }
  return ephemeralDefault;
}
