import { chmodSync, chownSync, existsSync, readFileSync, unlinkSync } from "node:fs";
import { connect, type Server } from "node:net";
import { EngineError, errorMessage } from "#base/errors.ts";
import type { ApiServer } from "#server/api/server.ts";
import type { DaemonConfig, Listen } from "./config.ts";

const socketMode = 0o660;

/** Opens every listening socket, or none. @throws EngineError `unavailable` naming the address */
export async function openListeners(config: DaemonConfig, api: ApiServer): Promise<Server[]> {
  const servers: Server[] = [];
  try {
    for (const place of config.listen) servers.push(await openListener(place, config, api));
    return servers;
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
}

/** As it is written in `-H`. */
export function listenText(place: Listen): string {
  if (place.kind === "unix") return place.path;
  return place.kind === "tcp" ? `${place.host}:${place.port}` : `fd://${place.fd}`;
}

async function openListener(place: Listen, config: DaemonConfig, api: ApiServer): Promise<Server> {
  const server = api.listener(place.kind === "tcp" ? tlsOptions(config) : undefined);
  if (place.kind === "unix") await removeStale(place.path);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        new EngineError(
          "unavailable",
          listenText(place),
          `can't listen on ${listenText(place)}: ${errorMessage(error)}`,
        ),
      ),
    );
    if (place.kind === "unix") server.listen(place.path, resolve);
    else if (place.kind === "tcp") server.listen(place.port, place.host, resolve);
    else server.listen({ fd: place.fd }, resolve);
  });
  if (place.kind === "unix") {
    chmodSync(place.path, socketMode);
    chownSync(place.path, 0, groupId(config.group));
  }
  return server;
}

function tlsOptions(config: DaemonConfig) {
  const { tls } = config;
  if (tls === null) return undefined;
  return {
    cert: readFileSync(tls.cert),
    key: readFileSync(tls.key),
    ...(tls.ca !== undefined && { ca: readFileSync(tls.ca) }),
    requestCert: tls.verify,
    rejectUnauthorized: tls.verify,
    minVersion: "TLSv1.2" as const,
  };
}

/** A socket file that nobody answers is left from a crash. @throws EngineError `conflict` when somebody does */
async function removeStale(path: string): Promise<void> {
  if (!existsSync(path)) return;
  const answered = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(true);
    });
    probe.on("error", () => resolve(false));
  });
  if (answered) throw new EngineError("conflict", path, `can't listen on ${path}: another process serves this socket`);
  unlinkSync(path);
}

/** @throws EngineError `invalid` when a group that was asked for does not exist */
function groupId(wanted: string | undefined): number {
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((entry) => entry.startsWith(`${wanted ?? "docker"}:`));
  if (line !== undefined) return Number(line.split(":")[2] ?? 0);
  if (wanted !== undefined && /^\d+$/.test(wanted)) return Number(wanted);
  if (wanted !== undefined) throw new EngineError("invalid", wanted, `group ${wanted} not found`);
  return 0;
}
