import { join } from "node:path";
import type { ContainerInspect, ContainerInspectState, NetworkSettings } from "#spec/engine-api/container.ts";
import { sizes } from "./list.ts";
import type { Container } from "./registry.ts";
import type { Rooms } from "./rooms.ts";
import { type ContainerState, isLive, lastExit } from "./state.ts";

/** Go's zero time, which Docker shows for what has not happened. */
const never = "0001-01-01T00:00:00Z";

function inspectState(state: ContainerState): ContainerInspectState {
  const exit = lastExit(state);
  const restarting = state.status === "restarting";
  return {
    Status: state.status,
    Running: isLive(state) || restarting,
    Paused: state.status === "paused",
    Restarting: restarting,
    OOMKilled: exit?.oomKilled ?? false,
    Dead: false,
    Pid: isLive(state) ? state.task.pid : 0,
    ExitCode: exit?.code ?? 0,
    Error: exit?.error ?? "",
    StartedAt: "startedAt" in state ? state.startedAt : never,
    FinishedAt: state.status === "exited" || restarting ? (exit?.at ?? never) : never,
  };
}

function networkSettings(container: Container): NetworkSettings {
  const { sandbox, definition } = container.record;
  const main = sandbox?.endpoints.bridge;
  const wanted = definition.networking.EndpointsConfig ?? { [definition.hostConfig.NetworkMode ?? "bridge"]: {} };
  const idle = Object.fromEntries(
    Object.entries(wanted)
      .filter(([name]) => !name.startsWith("container:"))
      .map(([name, settings]) => [name, settings ?? {}]),
  );
  return {
    Bridge: "",
    SandboxID: isLive(container.state) ? container.id : "",
    SandboxKey: sandbox?.netnsPath ?? "",
    Ports: sandbox?.ports ?? {},
    HairpinMode: false,
    LinkLocalIPv6Address: "",
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: main?.EndpointID ?? "",
    Gateway: main?.Gateway ?? "",
    GlobalIPv6Address: main?.GlobalIPv6Address ?? "",
    GlobalIPv6PrefixLen: main?.GlobalIPv6PrefixLen ?? 0,
    IPAddress: main?.IPAddress ?? "",
    IPPrefixLen: main?.IPPrefixLen ?? 0,
    IPv6Gateway: main?.IPv6Gateway ?? "",
    MacAddress: main?.MacAddress ?? "",
    Networks: sandbox === null ? idle : { ...sandbox.endpoints },
  };
}

/** GET /containers/{id}/json. */
export async function inspectContainer(
  rooms: Pick<Rooms, "snapshots" | "images" | "logs" | "settings"> & { readonly execIds: string[] | null },
  container: Container,
  options: { size?: boolean },
): Promise<ContainerInspect> {
  const { definition, mounts, restartCount } = container.record;
  const { id, config, hostConfig } = definition;
  const [path = "", ...args] = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  const files = rooms.settings.directory(id);
  return {
    Id: id,
    Created: definition.createdAt,
    Path: path,
    Args: args,
    State: inspectState(container.state),
    Image: definition.imageId,
    ResolvConfPath: join(files, "resolv.conf"),
    HostnamePath: join(files, "hostname"),
    HostsPath: join(files, "hosts"),
    LogPath: rooms.logs.path(id),
    Name: `/${definition.name}`,
    RestartCount: restartCount,
    Driver: rooms.snapshots.driver,
    Platform: "linux",
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: "",
    ExecIDs: rooms.execIds,
    HostConfig: hostConfig,
    GraphDriver: { Name: rooms.snapshots.driver, Data: null },
    ...(options.size === true ? await sizes(rooms, container) : {}),
    Mounts: [...mounts],
    Config: config,
    NetworkSettings: networkSettings(container),
  };
}
