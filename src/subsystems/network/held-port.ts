/**
 * Host ports, really held: a listening (TCP) or bound (UDP) socket of the daemon, so that nobody else gets the port.
 * nftables leads IPv4 clients straight to the container; what still reaches the socket (IPv6 clients of a container
 * without IPv6) is passed on from here, without a process per port.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { connect, createServer, type Socket } from "node:net";
import { errorMessage } from "#base/errors.ts";

export type Protocol = "tcp" | "udp";

export interface HeldPort {
  readonly protocol: Protocol;
  readonly ip: string;
  readonly port: number;
  close(): void;
}

export interface PortTarget {
  readonly ip: string;
  readonly port: number;
}

/** Flows of a UDP port that has been quiet this long are forgotten. */
const udpIdleMs = 90_000;
const udpFlowsMax = 1_024;

/** Takes a host port. Port 0 is not meant here: the caller picks. @throws Error with `code` EADDRINUSE, EADDRNOTAVAIL, EACCES */
export function holdPort(protocol: Protocol, ip: string, port: number, target: PortTarget): Promise<HeldPort> {
  return protocol === "tcp" ? holdTcp(ip, port, target) : holdUdp(ip, port, target);
}

async function holdTcp(ip: string, port: number, target: PortTarget): Promise<HeldPort> {
  const clients = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
    clients.add(client);
    client.once("close", () => clients.delete(client));
    passOn(client, target);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: ip, port, ipv6Only: ip.includes(":"), exclusive: true }, () => resolve());
  });
  server.removeAllListeners("error");
  server.on("error", () => {});
  return {
    protocol: "tcp",
    ip,
    port,
    close() {
      server.close();
      for (const client of clients) client.destroy();
    },
  };
}

function passOn(client: Socket, target: PortTarget): void {
  const upstream = connect({ host: target.ip, port: target.port, allowHalfOpen: true });
  const drop = () => {
    client.destroy();
    upstream.destroy();
  };
  client.on("error", drop);
  upstream.on("error", drop);
  upstream.once("connect", () => {
    client.pipe(upstream);
    upstream.pipe(client);
    client.resume();
  });
}

interface Flow {
  readonly socket: UdpSocket;
  lastMs: number;
}

async function holdUdp(ip: string, port: number, target: PortTarget): Promise<HeldPort> {
  const flows = new Map<string, Flow>();
  // Only dgram can keep an IPv6 socket from claiming the IPv4 port as well.
  const held = createSocket({ type: ip.includes(":") ? "udp6" : "udp4", ipv6Only: ip.includes(":") });
  await new Promise<void>((resolve, reject) => {
    held.once("error", reject);
    held.bind({ address: ip, port, exclusive: true }, () => resolve());
  });
  held.removeAllListeners("error");
  held.on("error", () => {});
  held.on("message", (bytes, from) => {
    const key = `${from.address}/${from.port}`;
    let flow = flows.get(key);
    if (flow === undefined) {
      if (flows.size >= udpFlowsMax) return;
      flow = openFlow(target, (answer) => held.send(answer, from.port, from.address));
      flows.set(key, flow);
    }
    flow.lastMs = Date.now();
    flow.socket.send(bytes, target.port, target.ip);
  });
  const timer = setInterval(() => {
    for (const [key, flow] of flows) {
      if (Date.now() - flow.lastMs < udpIdleMs) continue;
      flow.socket.close();
      flows.delete(key);
    }
  }, udpIdleMs);
  timer.unref();
  return {
    protocol: "udp",
    ip,
    port,
    close() {
      clearInterval(timer);
      held.close();
      for (const flow of flows.values()) flow.socket.close();
    },
  };
}

function openFlow(target: PortTarget, answer: (bytes: Buffer) => void): Flow {
  const socket = createSocket(target.ip.includes(":") ? "udp6" : "udp4");
  socket.on("message", (bytes) => answer(bytes));
  socket.on("error", () => {});
  return { socket, lastMs: Date.now() };
}

/** Bun names the system's error in `code`, or only in the text. */
export function codeOf(error: unknown): string {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return /\b(EADDRINUSE|EADDRNOTAVAIL|EACCES)\b/.exec(errorMessage(error))?.[1] ?? "";
}
