/** Devices of a container: those of --device, all of the host for a privileged one, and the cgroup's rules for them. */
import { readdirSync, realpathSync, type Stats, statSync } from "node:fs";
import { posix } from "node:path";
import { EngineError } from "#base/errors.ts";
import type { DeviceMapping, HostConfig } from "#spec/engine-api/container.ts";
import type { RuntimeDevice, RuntimeResources } from "#spec/oci/runtime.ts";

type DeviceRule = NonNullable<RuntimeResources["devices"]>[number];

const allow = (type: "c" | "b", access: string, major?: number, minor?: number): DeviceRule => ({
  allow: true,
  type,
  access,
  ...(major !== undefined && { major }),
  ...(minor !== undefined && { minor }),
});

/** null, zero, full, random, urandom, tty, console, ptmx, pts; and mknod of anything, which opens nothing. */
const defaultRules: readonly DeviceRule[] = [
  { allow: false, access: "rwm" },
  allow("c", "m"),
  allow("b", "m"),
  ...[3, 5, 7, 8, 9].map((minor) => allow("c", "rwm", 1, minor)),
  ...[0, 1, 2].map((minor) => allow("c", "rwm", 5, minor)),
  allow("c", "rwm", 136),
];

/** Below /dev, but mounts of their own. */
const skipped = new Set(["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"]);

export function deviceNumbers(device: number): { major: number; minor: number } {
  const bits = BigInt(device);
  return {
    major: Number(((bits >> 32n) & 0xfffff000n) | ((bits >> 8n) & 0xfffn)),
    minor: Number(((bits >> 12n) & 0xffffff00n) | (bits & 0xffn)),
  };
}

function describe(stat: Stats, path: string): RuntimeDevice | null {
  const type = stat.isCharacterDevice() ? "c" : stat.isBlockDevice() ? "b" : null;
  if (type === null) return null;
  return { type, path, ...deviceNumbers(stat.rdev), fileMode: stat.mode & 0o777, uid: stat.uid, gid: stat.gid };
}

function devicesBelow(host: string, inside: string): RuntimeDevice[] {
  return readdirSync(host, { withFileTypes: true }).flatMap((entry): RuntimeDevice[] => {
    const [path, target] = [posix.join(host, entry.name), posix.join(inside, entry.name)];
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : devicesBelow(path, target);
    if (skipped.has(entry.name)) return [];
    const stat =
      entry.isCharacterDevice() || entry.isBlockDevice() ? statSync(path, { throwIfNoEntry: false }) : undefined;
    const device = stat === undefined ? null : describe(stat, target);
    return device === null ? [] : [device];
  });
}

function mapped(mapping: DeviceMapping): RuntimeDevice[] {
  const fail = (why: string, cause?: unknown) => {
    const text = `error gathering device information while adding custom device "${mapping.PathOnHost}": ${why}`;
    return new EngineError("invalid", mapping.PathOnHost, text, { cause });
  };
  let path: string;
  let stat: Stats;
  try {
    path = realpathSync(mapping.PathOnHost);
    stat = statSync(path);
  } catch (cause) {
    throw fail("no such file or directory", cause);
  }
  const inside = mapping.PathInContainer || mapping.PathOnHost;
  const found = stat.isDirectory()
    ? devicesBelow(path, inside)
    : [describe(stat, inside)].filter((one) => one !== null);
  if (found.length === 0) throw fail("not a device node");
  return found;
}

/** `c 1:3 rwm`, `*` for any number. @throws EngineError `invalid` */
export function parseDeviceRule(text: string): DeviceRule {
  const match = /^([acb]) (\d+|\*):(\d+|\*) ([rwm]{1,3})$/.exec(text);
  if (match === null) throw new EngineError("invalid", text, `invalid device cgroup rule format: '${text}'`);
  const [, type = "a", major = "*", minor = "*", access = "rwm"] = match;
  return {
    allow: true,
    type,
    access,
    ...(major !== "*" && { major: Number(major) }),
    ...(minor !== "*" && { minor: Number(minor) }),
  };
}

/** @throws EngineError `invalid` for a path that is no device */
export function containerDevices(hostConfig: HostConfig): { devices: RuntimeDevice[]; rules: DeviceRule[] } {
  if (hostConfig.Privileged === true) {
    const devices = devicesBelow("/dev", "/dev");
    const known = new Set(devices.map((device) => device.path));
    for (const mapping of hostConfig.Devices ?? []) {
      for (const device of mapped(mapping)) if (!known.has(device.path)) devices.push(device);
    }
    return { devices, rules: [{ allow: true, access: "rwm" }] };
  }
  const devices: RuntimeDevice[] = [];
  const rules = [...defaultRules];
  for (const mapping of hostConfig.Devices ?? []) {
    for (const device of mapped(mapping)) {
      devices.push(device);
      rules.push({
        allow: true,
        type: device.type,
        ...(device.major !== undefined && { major: device.major }),
        ...(device.minor !== undefined && { minor: device.minor }),
        access: mapping.CgroupPermissions || "rwm",
      });
    }
  }
  for (const text of hostConfig.DeviceCgroupRules ?? []) rules.push(parseDeviceRule(text));
  return { devices, rules };
}
