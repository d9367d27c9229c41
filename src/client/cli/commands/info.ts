/** What client and daemon say of themselves. */

import { programCommit, programVersion } from "#base/version.ts";
import { ConnectionError } from "#client/api-client/api-client.ts";
import type { ContainerSummary } from "#spec/engine-api/container.ts";
import type { ImageSummary } from "#spec/engine-api/image.ts";
import type { Volume } from "#spec/engine-api/volume.ts";
import { CliError, command } from "../command.ts";
import { renderColumns } from "../format/columns.ts";
import { GoTemplate } from "../format/template.ts";
import { goJson } from "../format/template-functions.ts";
import { binarySize, humanSize } from "../format/words.ts";

const formatFlag = {
  kind: "string",
  short: "f",
  help: "Format output using a custom template: 'json': Print in JSON format 'TEMPLATE': Print output using the given Go template.",
} as const;

type Json = Record<string, unknown>;

function render(format: string, value: unknown): string {
  return format === "json" ? goJson(value) : new GoTemplate(format).render(value);
}

export const version = command({
  path: "version",
  usage: "",
  summary: "Show the Skiff version information",
  args: { min: 0, max: 0 },
  flags: { format: formatFlag },
  async run({ flags, engine, out }) {
    const architecture = process.arch === "x64" ? "amd64" : process.arch;
    const client = {
      Version: programVersion,
      ApiVersion: "1.56",
      GitCommit: programCommit,
      Os: "linux",
      Arch: architecture,
      Context: "default",
    };
    let server: Json | null = null;
    let failure: Error | null = null;
    try {
      server = await engine.json<Json>("GET", "/version");
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      failure = error;
    }
    if (flags.format !== undefined) out.line(render(flags.format, { Client: client, Server: server }));
    else {
      const row = (label: string, value: unknown) => ` ${`${label}:`.padEnd(18)}${String(value)}`;
      out.line(
        [
          "Client: Skiff",
          row("Version", client.Version),
          row("API version", client.ApiVersion),
          row("Git commit", client.GitCommit),
          row("OS/Arch", `linux/${architecture}`),
          row("Context", "default"),
        ].join("\n"),
      );
      if (server !== null) {
        const name = (server.Platform as { Name?: string } | undefined)?.Name ?? "";
        const deep = (label: string, value: unknown) => `  ${`${label}:`.padEnd(17)}${String(value)}`;
        out.line(
          [
            `\nServer: ${name}`.trimEnd(),
            " Engine:",
            deep("Version", server.Version),
            deep("API version", `${String(server.ApiVersion)} (minimum version ${String(server.MinAPIVersion)})`),
            deep("Git commit", server.GitCommit),
            deep("OS/Arch", `${String(server.Os)}/${String(server.Arch)}`),
          ].join("\n"),
        );
      }
    }
    if (failure !== null) throw new CliError(failure.message, 1);
  },
});

export const info = command({
  path: "system info",
  aliases: ["info"],
  usage: "",
  summary: "Display system-wide information",
  args: { min: 0, max: 0 },
  flags: { format: formatFlag },
  async run({ flags, engine, out }) {
    const data = await engine.json<Json>("GET", "/info");
    if (flags.format !== undefined) {
      out.line(render(flags.format, data));
      return;
    }
    const text = (key: string) => String(data[key] ?? "");
    const runtimes = Object.keys((data.Runtimes as Json | undefined) ?? {}).join(" ");
    const plugins = (data.Plugins ?? {}) as Record<string, string[] | null>;
    const lines = [
      `Containers: ${text("Containers")}`,
      ` Running: ${text("ContainersRunning")}`,
      ` Paused: ${text("ContainersPaused")}`,
      ` Stopped: ${text("ContainersStopped")}`,
      `Images: ${text("Images")}`,
      `Server Version: ${text("ServerVersion")}`,
      `Storage Driver: ${text("Driver")}`,
      `Logging Driver: ${text("LoggingDriver")}`,
      `Cgroup Driver: ${text("CgroupDriver")}`,
      `Cgroup Version: ${text("CgroupVersion")}`,
      "Plugins:",
      ` Volume: ${(plugins.Volume ?? []).join(" ")}`,
      ` Network: ${(plugins.Network ?? []).join(" ")}`,
      ` Log: ${(plugins.Log ?? []).join(" ")}`,
      "Swarm: inactive",
      `Runtimes: ${runtimes}`,
      `Default Runtime: ${text("DefaultRuntime")}`,
      "Security Options:",
      ...((data.SecurityOptions as string[] | null) ?? []).map(
        (option) =>
          ` ${option
            .replace(/^name=/, "")
            .replaceAll(",", "\n  ")
            .replaceAll("profile=", "Profile: ")}`,
      ),
      `Kernel Version: ${text("KernelVersion")}`,
      `Operating System: ${text("OperatingSystem")}`,
      `OSType: ${text("OSType")}`,
      `Architecture: ${text("Architecture")}`,
      `CPUs: ${text("NCPU")}`,
      `Total Memory: ${binarySize(Number(data.MemTotal ?? 0))}`,
      `Name: ${text("Name")}`,
      `ID: ${text("ID")}`,
      `Docker Root Dir: ${text("DockerRootDir")}`,
      `Debug Mode: ${text("Debug")}`,
      `Live Restore Enabled: ${text("LiveRestoreEnabled")}`,
    ];
    out.line(
      `Client: Skiff\n Version:    ${programVersion}\n Context:    default\n\nServer:\n${lines.map((line) => ` ${line}`).join("\n")}`,
    );
    for (const warning of (data.Warnings as string[] | null) ?? []) out.error(`WARNING: ${warning}`);
  },
});

interface DiskUsage {
  readonly LayersSize: number;
  readonly Images: ImageSummary[] | null;
  readonly Containers: ContainerSummary[] | null;
  readonly Volumes: Volume[] | null;
}

export const systemDf = command({
  path: "system df",
  usage: "",
  summary: "Show disk usage",
  args: { min: 0, max: 0 },
  flags: {},
  async run({ engine, out }) {
    const usage = await engine.json<DiskUsage>("GET", "/system/df");
    const [images, containers, volumes] = [usage.Images ?? [], usage.Containers ?? [], usage.Volumes ?? []];
    const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
    const share = (part: number, whole: number) =>
      whole === 0 ? humanSize(part) : `${humanSize(part)} (${Math.floor((part / whole) * 100)}%)`;
    const usedImages = images.filter((image) => image.Containers > 0);
    const active = containers.filter((container) => ["running", "paused", "restarting"].includes(container.State));
    const sizeOf = (list: readonly ContainerSummary[]) => sum(list.map((container) => container.SizeRw ?? 0));
    const volumeSize = sum(volumes.map((volume) => volume.UsageData?.Size ?? 0));
    const usedVolumes = volumes.filter((volume) => (volume.UsageData?.RefCount ?? 0) > 0);
    const freeVolumes = volumeSize - sum(usedVolumes.map((volume) => volume.UsageData?.Size ?? 0));
    const freeImages = usage.LayersSize - sum(usedImages.map((image) => image.Size));
    await out.write(
      renderColumns(
        [
          ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"],
          [
            "Images",
            String(images.length),
            String(usedImages.length),
            humanSize(usage.LayersSize),
            share(freeImages, usage.LayersSize),
          ],
          [
            "Containers",
            String(containers.length),
            String(active.length),
            humanSize(sizeOf(containers)),
            share(sizeOf(containers) - sizeOf(active), sizeOf(containers)),
          ],
          [
            "Local Volumes",
            String(volumes.length),
            String(usedVolumes.length),
            humanSize(volumeSize),
            share(freeVolumes, volumeSize),
          ],
          ["Build Cache", "0", "0", "0B", "0B"],
        ],
        10,
      ),
    );
  },
});
