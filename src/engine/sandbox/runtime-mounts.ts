/** The mounts of a container in the order to apply them. Pure. */
import { cleanPath, parseMountMode } from "#spec/engine-api/bind-spec.ts";
import type { HostConfig, MountPoint } from "#spec/engine-api/container.ts";
import type { RuntimeMount } from "#spec/oci/runtime.ts";
import type { SpecRequest } from "./sandbox.ts";

const shmSizeDefault = 67_108_864;

function kernelMounts(request: SpecRequest): RuntimeMount[] {
  const { hostConfig, cgroupVersion } = request;
  const access = hostConfig.Privileged === true ? "rw" : "ro";
  const plain = ["nosuid", "noexec", "nodev"];
  const mounts: RuntimeMount[] = [
    { destination: "/proc", type: "proc", source: "proc", options: plain },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...plain, access] },
    {
      destination: "/sys/fs/cgroup",
      type: "cgroup",
      source: "cgroup",
      options: [access, ...plain, ...(cgroupVersion === 2 ? [] : ["relatime"])],
    },
  ];
  const ipc = hostConfig.IpcMode ?? "private";
  if (ipc === "host") {
    mounts.push({ destination: "/dev/mqueue", type: "bind", source: "/dev/mqueue", options: ["rbind", ...plain] });
    mounts.push({ destination: "/dev/shm", type: "bind", source: "/dev/shm", options: ["rbind", ...plain] });
  } else {
    mounts.push({ destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: plain });
    const peer = request.peers.ipcPid;
    if (peer !== undefined) {
      const source = `/proc/${peer}/root/dev/shm`;
      mounts.push({ destination: "/dev/shm", type: "bind", source, options: ["rbind", "rprivate"] });
    } else if (ipc !== "none") {
      const size = hostConfig.ShmSize || shmSizeDefault;
      mounts.push({
        destination: "/dev/shm",
        type: "tmpfs",
        source: "shm",
        options: [...plain, "mode=1777", `size=${size}`],
      });
    }
  }
  return mounts;
}

function etcMounts(request: SpecRequest): RuntimeMount[] {
  return ["resolv.conf", "hostname", "hosts"].map((name) => ({
    destination: `/etc/${name}`,
    type: "bind",
    source: `${request.filesDirectory}/${name}`,
    options: ["rbind", "rprivate"],
  }));
}

/** Docker's defaults unless the user says the opposite. */
export function tmpfsOptions(text: string): string[] {
  const asked = text.split(",").filter((option) => option !== "");
  const opposites: readonly (readonly [string, string])[] = [
    ["noexec", "exec"],
    ["nosuid", "suid"],
    ["nodev", "dev"],
  ];
  const defaults = opposites.filter(([no, yes]) => !asked.includes(yes) && !asked.includes(no)).map(([no]) => no);
  return [...defaults, ...asked];
}

function mountOfPoint(point: MountPoint, hostConfig: HostConfig): RuntimeMount {
  const asked = hostConfig.Mounts?.find((mount) => cleanPath(mount.Target) === point.Destination);
  if (point.Type === "tmpfs") {
    const { SizeBytes: size = 0, Mode: mode, Options: more = [] } = asked?.TmpfsOptions ?? {};
    const options = tmpfsOptions(more.map((pair) => pair.join("=")).join(","));
    if (size > 0) options.push(`size=${size}`);
    if (mode !== undefined) options.push(`mode=${mode.toString(8)}`);
    return {
      destination: point.Destination,
      type: "tmpfs",
      source: "tmpfs",
      options: [...options, ...(point.RW ? [] : ["ro"])],
    };
  }
  const bind = asked?.BindOptions;
  const flat = bind?.NonRecursive === true;
  const readOnly = flat || bind?.ReadOnlyNonRecursive === true ? "ro" : "rro";
  return {
    destination: point.Destination,
    type: "bind",
    source: point.Source,
    options: [
      flat ? "bind" : "rbind",
      ...(point.RW ? [] : ["ro", ...(readOnly === "rro" ? ["rro"] : [])]),
      point.Propagation || "rprivate",
    ],
  };
}

/** Whether the image's content goes into a fresh volume at this point. */
export function wantsCopyUp(point: MountPoint, hostConfig: HostConfig): boolean {
  if (point.Type !== "volume" || point.Name === undefined) return false;
  if (parseMountMode(point.Mode, "volume").noCopy) return false;
  return (
    hostConfig.Mounts?.find((mount) => cleanPath(mount.Target) === point.Destination)?.VolumeOptions?.NoCopy !== true
  );
}

/** A user's mount takes the place of ours at the same path, and a /dev of one's own of everything below it. */
export function runtimeMounts(request: SpecRequest): RuntimeMount[] {
  const { hostConfig } = request;
  const tmpfs = Object.entries(hostConfig.Tmpfs ?? {}).map(
    ([destination, options]): RuntimeMount => ({
      destination: cleanPath(destination),
      type: "tmpfs",
      source: "tmpfs",
      options: tmpfsOptions(options),
    }),
  );
  const own = new Set(tmpfs.map((mount) => mount.destination));
  const points = request.mounts.filter((point) => !own.has(point.Destination));
  const users = [...tmpfs, ...points.map((point) => mountOfPoint(point, hostConfig))];
  const taken = new Set(users.map((mount) => mount.destination));
  const free = ({ destination }: RuntimeMount) =>
    !taken.has(destination) && !(taken.has("/dev") && destination.startsWith("/dev/"));
  const depth = (mount: RuntimeMount) => mount.destination.split("/").length;
  const ordered = [...users, ...etcMounts(request).filter(free)].sort((a, b) => depth(a) - depth(b));
  return [...kernelMounts(request).filter(free), ...ordered];
}

/** The root must propagate at least as far as the mounts that ask for it. */
export function rootPropagation(mounts: readonly MountPoint[]): string | undefined {
  if (mounts.some((point) => /^r?shared$/.test(point.Propagation))) return "shared";
  return mounts.some((point) => /^r?slave$/.test(point.Propagation)) ? "slave" : undefined;
}
