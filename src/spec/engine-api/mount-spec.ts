/** `--mount`, `--device` and `--ulimit` as create takes them; `-v` entries are read by bind-spec.ts. Pure. */
import { EngineError } from "#base/errors.ts";
import type { DeviceMapping, MountRequest, Ulimit } from "./container.ts";
import { parseByteSize } from "./units.ts";

function fail(subject: string, message: string): never {
  throw new EngineError("invalid", subject, message);
}

function flag(key: string, value: string | undefined): boolean {
  if (value === undefined || /^(1|t|true)$/i.test(value)) return true;
  if (/^(0|f|false)$/i.test(value)) return false;
  return fail(key, `invalid value for ${key}: ${value}`);
}

/** `type=bind,source=/a,target=/b,readonly`. @throws EngineError `invalid` in Docker's words */
export function parseMountFlag(text: string): MountRequest {
  const mount: MountRequest = { Type: "volume", Target: "" };
  for (const field of text.split(",")) {
    const [name = "", ...rest] = field.split("=");
    const key = name.toLowerCase();
    const value = rest.length === 0 ? undefined : rest.join("=");
    const needed = () => value ?? fail(text, `invalid field '${field}' must be a key=value pair`);
    const pair = () => {
      const [first = "", ...others] = needed().split("=");
      return { [first]: others.join("=") };
    };
    if (key === "type") mount.Type = needed().toLowerCase() as MountRequest["Type"];
    else if (key === "source" || key === "src") mount.Source = needed();
    else if (["target", "dst", "destination"].includes(key)) mount.Target = needed();
    else if (key === "readonly" || key === "ro") mount.ReadOnly = flag(key, value);
    else if (key === "consistency") mount.Consistency = needed().toLowerCase();
    else if (key === "bind-propagation")
      mount.BindOptions = { ...mount.BindOptions, Propagation: needed().toLowerCase() };
    else if (key === "bind-create-src")
      mount.BindOptions = { ...mount.BindOptions, CreateMountpoint: flag(key, value) };
    else if (key === "bind-recursive") {
      const mode = needed();
      if (!["enabled", "disabled", "writable", "readonly"].includes(mode))
        fail(text, `invalid value for ${key}: ${mode}`);
      if (mode === "disabled") mount.BindOptions = { ...mount.BindOptions, NonRecursive: true };
      if (mode === "writable") mount.BindOptions = { ...mount.BindOptions, ReadOnlyNonRecursive: true };
      if (mode === "readonly") mount.BindOptions = { ...mount.BindOptions, ReadOnlyForceRecursive: true };
    } else if (key === "volume-nocopy") mount.VolumeOptions = { ...mount.VolumeOptions, NoCopy: flag(key, value) };
    else if (key === "volume-label") {
      mount.VolumeOptions = { ...mount.VolumeOptions, Labels: { ...mount.VolumeOptions?.Labels, ...pair() } };
    } else if (key === "volume-driver") {
      const DriverConfig = { ...mount.VolumeOptions?.DriverConfig, Name: needed() };
      mount.VolumeOptions = { ...mount.VolumeOptions, DriverConfig };
    } else if (key === "volume-opt") {
      const before = mount.VolumeOptions?.DriverConfig;
      mount.VolumeOptions = {
        ...mount.VolumeOptions,
        DriverConfig: { ...before, Options: { ...before?.Options, ...pair() } },
      };
    } else if (key === "tmpfs-size") mount.TmpfsOptions = { ...mount.TmpfsOptions, SizeBytes: parseByteSize(needed()) };
    else if (key === "tmpfs-mode") {
      if (!/^[0-7]+$/.test(needed())) fail(text, `invalid value for ${key}: ${value}`);
      mount.TmpfsOptions = { ...mount.TmpfsOptions, Mode: Number.parseInt(needed(), 8) };
    } else fail(text, `unexpected key '${name}' in '${field}'`);
  }
  if (mount.Target === "") fail(text, "target is required");
  return mount;
}

/** `host[:inside][:rwm]`. @throws EngineError `invalid` */
export function parseDeviceFlag(text: string): DeviceMapping {
  const [host = "", second, third, ...rest] = text.split(":");
  const access = (value: string) => /^(?!.*(.).*\1)[rwm]+$/.test(value);
  if (host === "" || rest.length > 0) fail(text, `invalid device specification: ${text}`);
  if (third !== undefined && !access(third)) fail(text, `invalid device mode: ${third}`);
  const mode = third ?? (second !== undefined && access(second) ? second : "rwm");
  const inside = second === undefined || second === "" || (third === undefined && access(second)) ? host : second;
  return { PathOnHost: host, PathInContainer: inside, CgroupPermissions: mode };
}

/** `nofile=1024[:2048]`. @throws EngineError `invalid` */
export function parseUlimitFlag(text: string): Ulimit {
  const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(text);
  if (match === null) fail(text, `invalid ulimit argument: ${text}`);
  const [Soft, Hard] = [Number(match[2]), Number(match[3] ?? match[2])];
  if (Hard !== -1 && (Soft === -1 || Soft > Hard)) {
    fail(text, `ulimit soft limit must be less than or equal to hard limit: ${Soft} > ${Hard}`);
  }
  return { Name: match[1] ?? "", Soft, Hard };
}
