/** `-p` and `--expose`. Pure. */
import { EngineError } from "#base/errors.ts";
import type { ContainerConfig, PortMap } from "./container.ts";
import { isIpAddress } from "./ip.ts";

function fail(subject: string, message: string): never {
  throw new EngineError("invalid", subject, message);
}

/** `80` or `80-90`; null when it is no such range. */
export function parsePortRange(text: string): readonly [number, number] | null {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (match === null) return null;
  const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
  return first <= last && last <= 65_535 ? [first, last] : null;
}

export interface PublishedPort {
  /** `80/tcp` */
  readonly key: string;
  readonly hostIp: string;
  /** A port, a range when the engine picks one of it, or empty. */
  readonly hostPort: string;
}

/**
 * `[[ip:][host]:]container[/proto]`, ports or ranges, IPv6 addresses in brackets.
 * @throws EngineError `invalid` in Docker's words
 */
export function parsePortSpec(text: string): PublishedPort[] {
  const [, address = "", host = "", containerAndProtocol = ""] =
    /^(?:(?:(\[[^\]]*\]|[^:]*|.*:.*):)?([^:]*):)?([^:]*)$/s.exec(text) ?? fail(text, `invalid port format: ${text}`);
  const slash = containerAndProtocol.indexOf("/");
  const container = slash === -1 ? containerAndProtocol : containerAndProtocol.slice(0, slash);
  const protocol = slash === -1 ? "tcp" : containerAndProtocol.slice(slash + 1).toLowerCase();
  if (container === "") fail(text, `no port specified: ${text}<empty>`);
  const hostIp = address.replace(/^\[(.*)\]$/s, "$1");
  if (hostIp !== "" && !isIpAddress(hostIp)) fail(text, `invalid IP address: ${hostIp}`);
  const inside = parsePortRange(container) ?? fail(text, `invalid containerPort: ${container}`);
  if (inside[0] === 0) fail(text, `invalid containerPort: ${container}`);
  const outside = host === "" ? null : (parsePortRange(host) ?? fail(text, `invalid hostPort: ${host}`));
  if (!["tcp", "udp", "sctp"].includes(protocol)) fail(text, `invalid proto: ${protocol}`);
  const count = inside[1] - inside[0];
  const pick = outside !== null && count === 0 && outside[1] > outside[0];
  if (outside !== null && !pick && outside[1] - outside[0] !== count) {
    fail(text, `Invalid ranges specified for container and host Ports: ${container} and ${host}`);
  }
  return Array.from({ length: count + 1 }, (_, offset) => ({
    key: `${inside[0] + offset}/${protocol}`,
    hostIp,
    hostPort: outside === null ? "" : pick ? `${outside[0]}-${outside[1]}` : String(outside[0] + offset),
  }));
}

/** All `-p` and `--expose` flags together, as create wants them. */
export function parsePorts(
  publish: readonly string[],
  expose: readonly string[] = [],
): { ExposedPorts: NonNullable<ContainerConfig["ExposedPorts"]>; PortBindings: PortMap } {
  const ExposedPorts: Record<string, object> = {};
  const PortBindings: PortMap = {};
  for (const { key, hostIp, hostPort } of publish.flatMap(parsePortSpec)) {
    ExposedPorts[key] = {};
    const bindings = PortBindings[key] ?? [];
    bindings.push({ HostIp: hostIp, HostPort: hostPort });
    PortBindings[key] = bindings;
  }
  for (const text of expose) {
    const [range = "", protocol = "tcp"] = text.split("/");
    const ports = text.includes(":") ? null : parsePortRange(range);
    if (ports === null) fail(text, `invalid range format for --expose: ${text}`);
    for (let port = ports[0]; port <= ports[1]; port++) ExposedPorts[`${port}/${protocol.toLowerCase()}`] = {};
  }
  return { ExposedPorts, PortBindings };
}
