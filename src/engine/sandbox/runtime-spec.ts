/** The config.json of a container, and the process of an exec in it. */
import { EngineError } from "#base/errors.ts";
import type { RuntimeLinux, RuntimeMount, RuntimeProcess, RuntimeSpec } from "#spec/oci/runtime.ts";
import { ownCapabilities, resolveCapabilities } from "#subsystems/security/capabilities.ts";
import { confine, processCapabilities } from "#subsystems/security/security.ts";
import { resolveUser } from "#subsystems/security/user.ts";
import { containerDevices } from "./devices.ts";
import type { HostFacts } from "./host-facts.ts";
import { ownHardLimits, rlimits, runtimeResources } from "./resources.ts";
import { rootPropagation, runtimeMounts } from "./runtime-mounts.ts";
import type { SandboxBuilder, SpecRequest } from "./sandbox.ts";

const pathDefault = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const initInside = "/sbin/docker-init";

/** Docker's order: the engine's defaults, then the container's own, which win. A bare name removes a default. */
export function environment(own: readonly string[], defaults: Readonly<Record<string, string>>): string[] {
  const nameOf = (assignment: string) => assignment.split("=", 1)[0] ?? "";
  const said = new Map(own.map((assignment) => [nameOf(assignment), assignment]));
  const first = Object.entries(defaults).filter(([name]) => !said.has(name));
  return [
    ...first.map(([name, value]) => `${name}=${value}`),
    ...[...said.values()].filter((assignment) => assignment.includes("=")),
  ];
}

export function runtimeSpec(request: SpecRequest, facts: HostFacts): RuntimeSpec {
  const { config, hostConfig } = request;
  const confinement = confine(hostConfig);
  const user = resolveUser(request.rootfs, { user: config.User ?? "", groupAdd: hostConfig.GroupAdd ?? [] });
  const { devices, rules } = containerDevices(hostConfig);
  const limits = rlimits(hostConfig, facts.mayRaiseLimits ? null : ownHardLimits());
  const mounts = runtimeMounts(request);
  const args = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  if (hostConfig.Init === true) {
    mounts.push(initMount(facts));
    args.unshift(initInside, "--");
  }
  const score = hostConfig.OomScoreAdj ?? 0;
  const process: RuntimeProcess = {
    ...(config.Tty === true && { terminal: true, ...consoleSize(hostConfig.ConsoleSize) }),
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    args,
    env: environment(config.Env ?? [], {
      PATH: pathDefault,
      HOSTNAME: config.Hostname ?? "",
      ...(config.Tty === true && { TERM: "xterm" }),
      HOME: user.home,
    }),
    cwd: config.WorkingDir || "/",
    capabilities: processCapabilities(confinement.capabilities, user.uid),
    noNewPrivileges: confinement.noNewPrivileges,
    oomScoreAdj: facts.mayRaiseLimits ? score : Math.max(score, facts.oomScoreAdj),
    ...(limits.length > 0 && { rlimits: limits }),
    ...(confinement.apparmorProfile !== undefined && { apparmorProfile: confinement.apparmorProfile }),
  };
  const { namespaces, ownUts, ownNetwork } = namespacesOf(request);
  const propagation = rootPropagation(request.mounts);
  const sysctl = {
    ...(ownNetwork && { "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647" }),
    ...hostConfig.Sysctls,
  };
  return {
    ociVersion: "1.0.2",
    ...(ownUts && { hostname: config.Hostname ?? "" }),
    process,
    root: { path: request.rootfs, ...(hostConfig.ReadonlyRootfs === true && { readonly: true }) },
    mounts,
    ...(hostConfig.Annotations !== undefined && { annotations: hostConfig.Annotations }),
    linux: {
      namespaces,
      devices,
      cgroupsPath: `${hostConfig.CgroupParent || request.cgroupParent}/${request.id}`,
      resources: {
        devices: rules,
        ...runtimeResources(hostConfig, { ...facts, cgroupVersion: request.cgroupVersion }),
      },
      ...(propagation !== undefined && { rootfsPropagation: propagation }),
      ...(confinement.seccomp !== undefined && { seccomp: confinement.seccomp }),
      ...(Object.keys(sysctl).length > 0 && { sysctl }),
      maskedPaths: [...confinement.maskedPaths],
      readonlyPaths: [...confinement.readonlyPaths],
    },
  };
}

/** The API's order is height, width. */
function consoleSize(size: readonly [number, number] | undefined): Pick<RuntimeProcess, "consoleSize"> {
  const [height = 0, width = 0] = size ?? [];
  return height > 0 && width > 0 ? { consoleSize: { height, width } } : {};
}

function initMount(facts: HostFacts): RuntimeMount {
  if (facts.initPath === null) {
    throw new EngineError(
      "invalid",
      "init",
      "--init needs a small init program on the host: install tini or catatonit",
    );
  }
  return { destination: initInside, type: "bind", source: facts.initPath, options: ["bind", "ro"] };
}

function namespacesOf(request: SpecRequest) {
  const { hostConfig, network, peers } = request;
  const namespaces: RuntimeLinux["namespaces"] = [{ type: "mount" }];
  const join = (type: "pid" | "ipc" | "uts", mode: string | undefined, peer: number | undefined) => {
    if (mode === "host") return;
    const path = peer === undefined ? undefined : `/proc/${peer}/ns/${type}`;
    namespaces.push({ type, ...(path !== undefined && { path }) });
  };
  const hostNetwork = hostConfig.NetworkMode === "host";
  if (network.netnsPath !== undefined) namespaces.push({ type: "network", path: network.netnsPath });
  // A peer without a namespace of its own is on the host's network, and so is who joins it.
  else if (!hostNetwork && !(hostConfig.NetworkMode ?? "").startsWith("container:"))
    namespaces.push({ type: "network" });
  join("pid", hostConfig.PidMode, peers.pid);
  join("ipc", hostConfig.IpcMode, peers.ipcPid);
  join("uts", hostConfig.UTSMode, peers.utsPid);
  if (hostConfig.CgroupnsMode === "private" || (!hostConfig.CgroupnsMode && request.cgroupVersion === 2)) {
    namespaces.push({ type: "cgroup" });
  }
  return {
    namespaces,
    ownUts: hostConfig.UTSMode !== "host" && peers.utsPid === undefined,
    ownNetwork: !hostNetwork && !(hostConfig.NetworkMode ?? "").startsWith("container:"),
  };
}

export function execProcess(request: Parameters<SandboxBuilder["execProcess"]>[0], facts: HostFacts): RuntimeProcess {
  const { container } = request;
  const { config, hostConfig } = container;
  const confinement = confine(hostConfig);
  const user = resolveUser(container.rootfs, {
    user: request.user ?? config.User ?? "",
    groupAdd: hostConfig.GroupAdd ?? [],
  });
  const capabilities = request.privileged
    ? resolveCapabilities({ add: [], drop: [], privileged: true }, ownCapabilities())
    : confinement.capabilities;
  const limits = rlimits(hostConfig, facts.mayRaiseLimits ? null : ownHardLimits());
  const cwd = request.workingDir || config.WorkingDir || "/";
  if (!cwd.startsWith("/")) throw new EngineError("invalid", cwd, `Cwd must be an absolute path`);
  return {
    ...(request.tty && { terminal: true, ...consoleSize(request.consoleSize) }),
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    args: [...request.cmd],
    env: environment([...(config.Env ?? []), ...request.env], {
      PATH: pathDefault,
      HOSTNAME: config.Hostname ?? "",
      ...(request.tty && { TERM: "xterm" }),
      HOME: user.home,
    }),
    cwd,
    capabilities: processCapabilities(capabilities, request.privileged ? 0 : user.uid),
    noNewPrivileges: confinement.noNewPrivileges,
    oomScoreAdj: Math.max(hostConfig.OomScoreAdj ?? 0, facts.mayRaiseLimits ? -1000 : facts.oomScoreAdj),
    ...(limits.length > 0 && { rlimits: limits }),
    ...(confinement.apparmorProfile !== undefined && { apparmorProfile: confinement.apparmorProfile }),
  };
}
