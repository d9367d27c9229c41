import { EngineError } from "#base/errors.ts";
import type { NetworkSandbox, SandboxRequest } from "#subsystems/network/network.ts";
import type { ContainerDefinition } from "./container.ts";
import type { ContainerRegistry } from "./registry.ts";
import { isLive } from "./state.ts";

const containerPrefix = "container:";

/** The container whose network is shared (`--network container:X`), or null. */
export function networkPeer(definition: Pick<ContainerDefinition, "hostConfig">): string | null {
  const mode = definition.hostConfig.NetworkMode ?? "bridge";
  return mode.startsWith(containerPrefix) ? mode.slice(containerPrefix.length) : null;
}

/** What the container asks of the network room. */
export function networkRequest(definition: ContainerDefinition): SandboxRequest {
  const { config, hostConfig, networking } = definition;
  return {
    containerId: definition.id,
    containerName: definition.name,
    networkMode: config.NetworkDisabled === true ? "none" : (hostConfig.NetworkMode ?? "bridge"),
    endpoints: networking.EndpointsConfig ?? {},
    ...(config.MacAddress !== undefined && { macAddress: config.MacAddress }),
    portBindings: hostConfig.PortBindings ?? {},
    exposedPorts: Object.keys(config.ExposedPorts ?? {}),
    publishAll: hostConfig.PublishAllPorts ?? false,
  };
}

/**
 * The running peer's network, without anything of it being owned by the one who joins.
 * @throws EngineError `not-found`, `conflict` when it does not run
 */
export function joinPeerNetwork(registry: ContainerRegistry, peer: string): NetworkSandbox {
  const container = registry.find(peer);
  if (!isLive(container.state) || container.record.sandbox === null) {
    throw new EngineError("conflict", peer, `cannot join network of a non running container: ${container.id}`);
  }
  const { netnsPath } = container.record.sandbox;
  return { ...(netnsPath !== undefined && { netnsPath }), endpoints: {}, ports: {} };
}
