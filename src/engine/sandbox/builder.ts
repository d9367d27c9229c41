import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { EngineError } from "#base/errors.ts";
import type { Logger } from "#base/log.ts";
import { cleanPath } from "#spec/engine-api/bind-spec.ts";
import { makeWorkingDirectory } from "#subsystems/security/rootfs-files.ts";
import type { Volumes } from "#subsystems/volume/volume.ts";
import { checkContainer } from "./check.ts";
import { hostsFile, resolvFile } from "./etc-files.ts";
import { hostFacts } from "./host-facts.ts";
import { resolveMounts } from "./resolve-mounts.ts";
import { wantsCopyUp } from "./runtime-mounts.ts";
import { execProcess, runtimeSpec } from "./runtime-spec.ts";
import type { SandboxBuilder, SpecRequest } from "./sandbox.ts";

/** Puts containers together. Facts about the host are read once, at the first use. */
export function createSandboxBuilder(rooms: { readonly volumes: Volumes; readonly log: Logger }): SandboxBuilder {
  return {
    check: (config, hostConfig) => checkContainer(config, hostConfig, hostFacts()),
    resolveMounts: (request) => resolveMounts(rooms.volumes, request),
    prepare: (request) => prepare(rooms.volumes, request),
    spec: async (request) => runtimeSpec(request, hostFacts()),
    execProcess: async (request) => execProcess(request, hostFacts()),
  };
}

async function prepare(volumes: Volumes, request: SpecRequest): Promise<void> {
  writeEtcFiles(request);
  const { WorkingDir: cwd = "" } = request.config;
  if (cwd !== "" && cwd !== "/") makeWorkingDirectory(request.rootfs, cleanPath(cwd));
  for (const point of request.mounts) {
    if (point.Type === "bind") checkSource(point.Source);
    if (point.Name === undefined) continue;
    volumes.mount(point.Name);
    if (wantsCopyUp(point, request.hostConfig)) await volumes.copyUp(point.Name, request.rootfs, point.Destination);
  }
}

/** A bind source that went away since create. */
function checkSource(source: string): void {
  if (statSync(source, { throwIfNoEntry: false }) !== undefined) return;
  const text = `invalid mount config for type "bind": bind source path does not exist: ${source}`;
  throw new EngineError("invalid", source, text);
}

function writeEtcFiles({ config, hostConfig, network, filesDirectory }: SpecRequest): void {
  const hostNetwork = hostConfig.NetworkMode === "host";
  const read = (path: string) => {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return "";
    }
  };
  const files = {
    hosts: hostsFile(config, hostConfig, network, hostNetwork ? read("/etc/hosts") : null),
    hostname: `${config.Hostname || hostname()}\n`,
    "resolv.conf": resolvFile(hostConfig, read("/etc/resolv.conf")),
  };
  mkdirSync(filesDirectory, { recursive: true, mode: 0o700 });
  for (const [name, text] of Object.entries(files)) writeFileSync(`${filesDirectory}/${name}`, text, { mode: 0o644 });
}
