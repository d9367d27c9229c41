import type { Events } from "#engine/system/events.ts";
import type { NetworkSandbox } from "#subsystems/network/network.ts";

/** Tells that a container joined or left each of its networks. */
export function announceNetwork(
  events: Events,
  action: "connect" | "disconnect",
  containerId: string,
  sandbox: NetworkSandbox,
): void {
  for (const [name, endpoint] of Object.entries(sandbox.endpoints)) {
    const type = name === "host" ? "host" : name === "none" ? "null" : "bridge";
    events.publish({
      type: "network",
      action,
      id: endpoint.NetworkID ?? name,
      attributes: { container: containerId, name, type },
    });
  }
}
