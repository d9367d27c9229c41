/** From what a request asks to mount points with host paths; the only part of mounting that happens at create. */
import { mkdirSync, statSync } from "node:fs";
import { EngineError } from "#base/errors.ts";
import { cleanPath, parseBind } from "#spec/engine-api/bind-spec.ts";
import type { ContainerConfig, HostConfig, MountPoint, MountRequest } from "#spec/engine-api/container.ts";
import type { Volumes } from "#subsystems/volume/volume.ts";

interface ResolveRequest {
  readonly id: string;
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  readonly volumesFrom: (id: string) => readonly MountPoint[];
}

/**
 * Mount points by destination. What is asked for by name wins over `--volumes-from`, and both over image VOLUMEs.
 * Volumes are made and acquired for the container; missing bind sources are made as directories, as Docker does.
 */
export async function resolveMounts(volumes: Volumes, request: ResolveRequest): Promise<MountPoint[]> {
  const { id, config, hostConfig } = request;
  const points = new Map<string, MountPoint>();
  for (const text of hostConfig.VolumesFrom ?? []) {
    for (const point of inherited(text, request.volumesFrom)) {
      if (point.Name !== undefined) volumes.acquire(point.Name, id);
      points.set(point.Destination, point);
    }
  }
  const volumePoint = async (
    volume: { Name?: string; DriverOpts?: Record<string, string>; Labels?: Record<string, string>; Driver?: string },
    target: string,
    readOnly: boolean,
    mode: string,
  ) => {
    const made = await volumes.create(volume);
    volumes.acquire(made.Name, id);
    points.set(target, {
      Type: "volume",
      Name: made.Name,
      Source: made.Mountpoint,
      Destination: target,
      Driver: made.Driver,
      Mode: mode,
      RW: !readOnly,
      Propagation: "",
    });
  };
  const driver = hostConfig.VolumeDriver ? { Driver: hostConfig.VolumeDriver } : {};
  for (const text of hostConfig.Binds ?? []) {
    const { type, source, target, mode, readOnly, propagation } = parseBind(text);
    if (type === "volume") await volumePoint({ Name: source, ...driver }, target, readOnly, mode || "z");
    else {
      makeSource(source);
      points.set(target, bindPoint(source, target, readOnly, mode, propagation));
    }
  }
  for (const mount of hostConfig.Mounts ?? []) {
    const target = cleanPath(mount.Target);
    const readOnly = mount.ReadOnly ?? false;
    if (mount.Type === "volume") await volumePoint(volumeRequest(mount), target, readOnly, "z");
    else if (mount.Type === "bind") {
      const source = cleanPath(mount.Source ?? "");
      if (mount.BindOptions?.CreateMountpoint === true) makeSource(source);
      points.set(target, bindPoint(source, target, readOnly, "", mount.BindOptions?.Propagation ?? ""));
    } else if (mount.Type === "tmpfs") {
      points.set(target, {
        Type: "tmpfs",
        Source: "",
        Destination: target,
        Mode: "",
        RW: !readOnly,
        Propagation: "",
      });
    }
  }
  const tmpfs = new Set(Object.keys(hostConfig.Tmpfs ?? {}).map(cleanPath));
  for (const target of tmpfs) points.delete(target);
  for (const text of Object.keys(config.Volumes ?? {})) {
    const target = cleanPath(text);
    if (points.has(target) || tmpfs.has(target)) continue;
    await volumePoint({ ...driver }, target, false, "");
  }
  return [...points.values()];
}

function bindPoint(source: string, target: string, readOnly: boolean, mode: string, propagation: string): MountPoint {
  return {
    Type: "bind",
    Source: source,
    Destination: target,
    Mode: mode,
    RW: !readOnly,
    Propagation: propagation || "rprivate",
  };
}

function volumeRequest(mount: MountRequest) {
  const { VolumeOptions: options } = mount;
  return {
    ...(mount.Source !== undefined && { Name: mount.Source }),
    ...(options?.Labels !== undefined && { Labels: options.Labels }),
    ...(options?.DriverConfig?.Name !== undefined && { Driver: options.DriverConfig.Name }),
    ...(options?.DriverConfig?.Options !== undefined && { DriverOpts: options.DriverConfig.Options }),
  };
}

function makeSource(source: string): void {
  try {
    if (statSync(source, { throwIfNoEntry: false }) !== undefined) return;
    mkdirSync(source, { recursive: true });
  } catch (cause) {
    const text = `error while creating mount source path '${source}': ${String(cause)}`;
    throw new EngineError("internal", source, text, { cause });
  }
}

/** `CONTAINER[:ro|:rw]` */
function inherited(text: string, volumesFrom: ResolveRequest["volumesFrom"]): MountPoint[] {
  const [source = "", mode = "rw", ...rest] = text.split(":");
  if (source === "" || rest.length > 0)
    throw new EngineError("invalid", text, `invalid volumes-from specification: ${text}`);
  const words = mode.split(",");
  if (!words.every((word) => ["ro", "rw", "z", "Z"].includes(word))) {
    throw new EngineError("invalid", text, `invalid mode for volumes-from: ${mode}`);
  }
  return volumesFrom(source)
    .filter((point) => point.Type !== "tmpfs")
    .map((point) => ({ ...point, RW: point.RW && !words.includes("ro") }));
}
