/**
 * Host ports, really held: a listening (TCP) or bound (UDP) socket of the daemon, so that nobody else gets the port.
 * nftables leads IPv4 clients straight to the container; what still reaches the socket (IPv6 clients of a container
 * without IPv6) is passed on from here, without a process per port.
 */
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
  readonly socket: Bun.udp.ConnectedSocket<"buffer">;
  lastMs: number;
}

async function holdUdp(ip: string, port: number, target: PortTarget): Promise<HeldPort> {
  const flows = new Map<string, Promise<Flow>>();
  const held = await Bun.udpSocket({
    hostname: ip,
    port,
    socket: {
      data(server, bytes, fromPort, fromAddress) {
        const key = `${fromAddress}/${fromPort}`;
        const flow = flows.get(key) ?? openFlow(target, (answer) => server.send(answer, fromPort, fromAddress));
        if (!flows.has(key) && flows.size >= udpFlowsMax) return;
        flows.set(key, flow);
        flow.then(
          (open) => {
            open.lastMs = Date.now();
            open.socket.send(bytes);
          },
          () => flows.delete(key),
        );
      },
    },
  }).catch((error: unknown) => {
    throw Object.assign(new Error(errorMessage(error), { cause: error }), { code: codeOf(error) });
  });
  const timer = setInterval(() => {
    for (const [key, flow] of flows) {
      void flow.then((open) => {
        if (Date.now() - open.lastMs < udpIdleMs) return;
        open.socket.close();
        flows.delete(key);
      });
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
      for (const flow of flows.values()) void flow.then((open) => open.socket.close());
    },
  };
}

async function openFlow(target: PortTarget, answer: (bytes: Buffer) => void): Promise<Flow> {
  const socket = await Bun.udpSocket({
    connect: { hostname: target.ip, port: target.port },
    socket: { data: (_, bytes) => answer(bytes) },
  });
  return { socket, lastMs: Date.now() };
}

/** Bun names the system's error in `code`, or only in the text. */
export function codeOf(error: unknown): string {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return /\b(EADDRINUSE|EADDRNOTAVAIL|EACCES)\b/.exec(errorMessage(error))?.[1] ?? "";
}
