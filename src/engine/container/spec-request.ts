import { EngineError } from "#base/errors.ts";
import type { PeerNamespaces, SpecRequest } from "#engine/sandbox/sandbox.ts";
import type { NetworkSandbox } from "#subsystems/network/network.ts";
import type { Container } from "./registry.ts";
import type { Rooms } from "./rooms.ts";
import { isLive } from "./state.ts";

/** Everything the sandbox builder needs to know of a container. @throws EngineError `conflict` when a peer does not run */
export function specRequest(
  rooms: Pick<Rooms, "registry" | "settings">,
  container: Container,
  network: NetworkSandbox,
  rootfs: string,
): SpecRequest {
  const { id, config, hostConfig, networking } = container.record.definition;
  return {
    id,
    config,
    hostConfig,
    networking,
    network,
    rootfs,
    filesDirectory: rooms.settings.directory(id),
    mounts: container.record.mounts,
    peers: peersOf(rooms, container),
    cgroupParent: rooms.settings.cgroupParent,
    cgroupVersion: rooms.settings.cgroupVersion,
  };
}

function peersOf(rooms: Pick<Rooms, "registry">, container: Container): PeerNamespaces {
  const { hostConfig } = container.record.definition;
  const pidOf = (mode: string | undefined, what: string): number | undefined => {
    if (mode?.startsWith("container:") !== true) return undefined;
    const peer = rooms.registry.find(mode.slice("container:".length));
    if (isLive(peer.state)) return peer.state.task.pid;
    throw new EngineError("conflict", peer.id, `cannot join ${what} of a non running container: ${peer.id}`);
  };
  const pid = pidOf(hostConfig.PidMode, "PID namespace");
  const ipcPid = pidOf(hostConfig.IpcMode, "IPC");
  const utsPid = pidOf(hostConfig.UTSMode, "UTS namespace");
  return {
    ...(pid !== undefined && { pid }),
    ...(ipcPid !== undefined && { ipcPid }),
    ...(utsPid !== undefined && { utsPid }),
  };
}
