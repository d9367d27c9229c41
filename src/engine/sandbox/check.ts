/** Refuses what cannot be run, in Docker's words, before anything is acquired. Pure but for looking at bind sources. */
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { EngineError } from "#base/errors.ts";
import { parseSignal } from "#base/signals.ts";
import { cleanPath, parseBind } from "#spec/engine-api/bind-spec.ts";
import type { ContainerConfig, HostConfig, MountRequest } from "#spec/engine-api/container.ts";
import { isIpAddress } from "#spec/engine-api/ip.ts";
import { confine } from "#subsystems/security/security.ts";
import { checkResources } from "./check-resources.ts";
import { parseDeviceRule } from "./devices.ts";
import type { HostFacts } from "./host-facts.ts";

function refuse(subject: string, message: string): never {
  throw new EngineError("invalid", subject, message);
}

/** @returns warnings for the answer of create @throws EngineError `invalid` */
export function checkContainer(config: ContainerConfig, hostConfig: HostConfig, facts: HostFacts): string[] {
  checkConfig(config);
  checkModes(hostConfig);
  checkNetworkConflicts(config, hostConfig);
  checkRestartPolicy(hostConfig);
  checkMounts(hostConfig);
  checkPorts(hostConfig);
  checkNames(hostConfig);
  checkSysctls(hostConfig);
  for (const rule of hostConfig.DeviceCgroupRules ?? []) parseDeviceRule(rule);
  confine(hostConfig);
  if (hostConfig.Init === true && facts.initPath === null) {
    refuse("init", "--init needs a small init program on the host: install tini or catatonit");
  }
  return checkResources(hostConfig, facts);
}

function checkConfig(config: ContainerConfig): void {
  const { WorkingDir: cwd = "" } = config;
  if (cwd !== "" && !cwd.startsWith("/")) {
    refuse(cwd, `the working directory '${cwd}' is invalid, it needs to be an absolute path`);
  }
  if ((config.Hostname ?? "").length > 64) refuse("hostname", `invalid hostname format: ${config.Hostname}`);
  for (const assignment of config.Env ?? []) {
    if (assignment === "" || assignment.startsWith("=") || assignment.includes("\0")) {
      refuse(assignment, `invalid environment variable: ${assignment}`);
    }
  }
  if (config.StopSignal) parseSignal(config.StopSignal);
}

function checkModes(hostConfig: HostConfig): void {
  const known = (mode: string | undefined, words: readonly string[], peer: boolean) =>
    words.includes(mode ?? "") || (peer && /^container:.+/.test(mode ?? ""));
  if (!known(hostConfig.PidMode, ["", "host", "private"], true))
    refuse("pid", `invalid PID mode: ${hostConfig.PidMode}`);
  if (!known(hostConfig.IpcMode, ["", "none", "host", "private", "shareable"], true)) {
    refuse("ipc", `invalid IPC mode: ${hostConfig.IpcMode}`);
  }
  if (!known(hostConfig.UTSMode, ["", "host", "private"], true))
    refuse("uts", `invalid UTS mode: ${hostConfig.UTSMode}`);
  if (!known(hostConfig.UsernsMode, ["", "host"], false))
    refuse("userns", `invalid USER mode: ${hostConfig.UsernsMode}`);
  if (!known(hostConfig.CgroupnsMode, ["", "host", "private"], false)) {
    refuse("cgroupns", `invalid CGROUP mode: ${hostConfig.CgroupnsMode}`);
  }
}

/** A generated hostname (twelve hex digits) is nobody's wish. */
function checkNetworkConflicts(config: ContainerConfig, hostConfig: HostConfig): void {
  const asked = config.Hostname !== undefined && config.Hostname !== "" && !/^[0-9a-f]{12}$/.test(config.Hostname);
  const conflict = (what: string) => refuse("network", `conflicting options: ${what}`);
  if (hostConfig.UTSMode === "host" && asked && config.Hostname !== hostname()) conflict("hostname and the UTS mode");
  if (!(hostConfig.NetworkMode ?? "").startsWith("container:")) return;
  const any = (list: readonly unknown[] | null | undefined) => (list?.length ?? 0) > 0;
  if (asked) conflict("hostname and the network mode");
  if (any(hostConfig.Links)) {
    conflict("container type network can't be used with links. This would result in undefined behavior");
  }
  if (any(hostConfig.Dns)) conflict("dns and the network mode");
  if (any(hostConfig.ExtraHosts)) conflict("custom host-to-IP mapping and the network mode");
  if (config.MacAddress) conflict("mac-address and the network mode");
  if (any(Object.keys(hostConfig.PortBindings ?? {})) || hostConfig.PublishAllPorts === true) {
    conflict("port publishing and the container type network mode");
  }
}

function checkRestartPolicy(hostConfig: HostConfig): void {
  const { Name: name = "", MaximumRetryCount: count = 0 } = hostConfig.RestartPolicy ?? {};
  if (!["", "no", "always", "unless-stopped", "on-failure"].includes(name)) {
    refuse(
      name,
      `invalid restart policy: unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    );
  }
  if (name !== "on-failure" && count !== 0) {
    refuse(name, "invalid restart policy: maximum retry count can only be used with 'on-failure'");
  }
  if (count < 0) refuse(name, "invalid restart policy: maximum retry count cannot be negative");
  if (hostConfig.AutoRemove === true && name !== "" && name !== "no") {
    refuse(name, "can't create 'AutoRemove' container with restart policy");
  }
}

function checkMounts(hostConfig: HostConfig): void {
  const targets = new Set<string>();
  const claim = (target: string) => {
    if (targets.has(target)) refuse(target, `Duplicate mount point: ${target}`);
    targets.add(target);
  };
  for (const bind of hostConfig.Binds ?? []) claim(parseBind(bind).target);
  for (const mount of hostConfig.Mounts ?? []) claim(checkMount(mount));
  for (const target of Object.keys(hostConfig.Tmpfs ?? {})) {
    if (!target.startsWith("/"))
      refuse(target, `invalid tmpfs mount: invalid mount path: '${target}' mount path must be absolute`);
    if (cleanPath(target) === "/") refuse(target, "invalid specification: destination can't be '/'");
  }
}

const propagations = ["", "private", "rprivate", "shared", "rshared", "slave", "rslave"];

function checkMount(mount: MountRequest): string {
  const wrong = (why: string) => refuse(mount.Target, `invalid mount config for type "${mount.Type}": ${why}`);
  const { Type: type, Source: source = "", Target: target } = mount;
  if (type !== "bind" && type !== "volume" && type !== "tmpfs") wrong("mount type unknown");
  if (!target) wrong("field Target must not be empty");
  if (!target.startsWith("/")) wrong(`invalid mount path: '${target}' mount path must be absolute`);
  if (cleanPath(target) === "/") wrong("invalid specification: destination can't be '/'");
  const foreign = {
    bind: [mount.VolumeOptions && "VolumeOptions", mount.TmpfsOptions && "TmpfsOptions"],
    volume: [mount.BindOptions && "BindOptions", mount.TmpfsOptions && "TmpfsOptions"],
    tmpfs: [mount.BindOptions && "BindOptions", mount.VolumeOptions && "VolumeOptions"],
  }[type as "bind" | "volume" | "tmpfs"].find((name) => name !== undefined);
  if (foreign !== undefined) wrong(`field ${foreign} must not be specified`);
  if (type === "bind") {
    if (source === "") wrong("field Source must not be empty");
    if (!source.startsWith("/")) wrong(`invalid mount path: '${source}' mount path must be absolute`);
    const { Propagation: propagation = "", CreateMountpoint: create = false } = mount.BindOptions ?? {};
    if (!propagations.includes(propagation)) wrong(`invalid propagation mode: ${propagation}`);
    if (!create && !existsSync(source)) wrong(`bind source path does not exist: ${source}`);
  }
  if (type === "tmpfs") {
    if (source !== "") wrong("field Source must not be specified");
    if ((mount.TmpfsOptions?.SizeBytes ?? 0) < 0) wrong("invalid tmpfs size");
  }
  if (type === "volume" && mount.VolumeOptions?.Subpath) wrong("volume sub-paths are not supported");
  return cleanPath(target);
}

function checkPorts(hostConfig: HostConfig): void {
  const port = (text: string) => /^\d{1,5}$/.test(text) && Number(text) <= 65_535;
  for (const [key, bindings] of Object.entries(hostConfig.PortBindings ?? {})) {
    const [number = "", protocol = "tcp", ...rest] = key.split("/");
    if (!port(number) || Number(number) === 0 || rest.length > 0 || !["tcp", "udp", "sctp"].includes(protocol)) {
      refuse(key, `invalid port specification: "${key}"`);
    }
    for (const { HostPort: text = "", HostIp: ip = "" } of bindings ?? []) {
      const [start = "", end = start, ...more] = text.split("-");
      const sound = text === "" || (port(start) && port(end) && Number(start) <= Number(end) && more.length === 0);
      if (!sound) refuse(text, `invalid port specification: "${text}"`);
      if (ip !== "" && !isIpAddress(ip)) refuse(ip, `invalid IP address: ${ip}`);
    }
  }
}

function checkNames(hostConfig: HostConfig): void {
  for (const server of hostConfig.Dns ?? []) if (!isIpAddress(server)) refuse(server, `invalid IP address: ${server}`);
  for (const line of [...(hostConfig.DnsSearch ?? []), ...(hostConfig.DnsOptions ?? [])]) {
    if (/\s/.test(line)) refuse(line, `invalid DNS search domain or option: ${JSON.stringify(line)}`);
  }
  for (const entry of hostConfig.ExtraHosts ?? []) {
    const colon = entry.indexOf(":");
    const [name, address] = [entry.slice(0, colon), entry.slice(colon + 1)];
    if (colon < 1 || /\s/.test(entry) || address === "") refuse(entry, `bad format for add-host: "${entry}"`);
    if (name === "" || (address !== "host-gateway" && !isIpAddress(address.replace(/^\[(.*)\]$/, "$1")))) {
      refuse(entry, `invalid IP address in add-host: "${address}"`);
    }
  }
}

const ipcSysctls = /^(kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\..+)$/;

function checkSysctls(hostConfig: HostConfig): void {
  for (const key of Object.keys(hostConfig.Sysctls ?? {})) {
    const name = key.replaceAll("/", ".");
    if (name.includes("..")) refuse(key, `invalid sysctl '${key}'`);
    if (name.startsWith("net.")) {
      if (hostConfig.NetworkMode === "host") refuse(key, `sysctl '${key}' not allowed in host network namespace`);
    } else if (ipcSysctls.test(name)) {
      if (hostConfig.IpcMode === "host") refuse(key, `sysctl '${key}' not allowed in host ipc namespace`);
    } else if (name === "kernel.domainname") {
      if (hostConfig.UTSMode === "host") refuse(key, `sysctl '${key}' not allowed in host uts namespace`);
    } else refuse(key, `sysctl "${key}" is not in a separate kernel namespace`);
  }
}
