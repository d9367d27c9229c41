/**
 * Every command by its long path: its other spellings, one line about it, and the file that holds it, which is loaded
 * only when it runs. The house tests compare spellings and lines with the commands themselves.
 */
import type { Command } from "./command.ts";

export interface RegistryEntry {
  readonly aliases: readonly string[];
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

const entry = (aliases: readonly string[], summary: string, load: () => Promise<unknown>): RegistryEntry => ({
  aliases,
  summary,
  load: load as () => Promise<Command>,
});

export const registry: Readonly<Record<string, RegistryEntry>> = {
  "container run": entry(
    ["run"],
    "Create and run a new container from an image",
    async () => (await import("./commands/run.ts")).run,
  ),
  "container create": entry(
    ["create"],
    "Create a new container",
    async () => (await import("./commands/create.ts")).create,
  ),
  "container start": entry(
    ["start"],
    "Start one or more stopped containers",
    async () => (await import("./commands/start.ts")).start,
  ),
  "container attach": entry(
    ["attach"],
    "Attach local standard input, output, and error streams to a running container",
    async () => (await import("./commands/attach.ts")).attach,
  ),
  "container exec": entry(
    ["exec"],
    "Execute a command in a running container",
    async () => (await import("./commands/exec.ts")).exec,
  ),
  "container logs": entry(
    ["logs"],
    "Fetch the logs of a container",
    async () => (await import("./commands/logs.ts")).logs,
  ),
  "container stop": entry(
    ["stop"],
    "Stop one or more running containers",
    async () => (await import("./commands/lifetime.ts")).stop,
  ),
  "container restart": entry(
    ["restart"],
    "Restart one or more containers",
    async () => (await import("./commands/lifetime.ts")).restart,
  ),
  "container kill": entry(
    ["kill"],
    "Kill one or more running containers",
    async () => (await import("./commands/lifetime.ts")).kill,
  ),
  "container pause": entry(
    ["pause"],
    "Pause all processes within one or more containers",
    async () => (await import("./commands/lifetime.ts")).pause,
  ),
  "container unpause": entry(
    ["unpause"],
    "Unpause all processes within one or more containers",
    async () => (await import("./commands/lifetime.ts")).unpause,
  ),
  "container wait": entry(
    ["wait"],
    "Block until one or more containers stop, then print their exit codes",
    async () => (await import("./commands/lifetime.ts")).wait,
  ),
  "container rm": entry(
    ["rm", "container remove"],
    "Remove one or more containers",
    async () => (await import("./commands/lifetime.ts")).rm,
  ),
  "container rename": entry(
    ["rename"],
    "Rename a container",
    async () => (await import("./commands/lifetime.ts")).rename,
  ),
  "container top": entry(
    ["top"],
    "Display the running processes of a container",
    async () => (await import("./commands/top.ts")).top,
  ),
  "container port": entry(
    ["port"],
    "List port mappings or a specific mapping for the container",
    async () => (await import("./commands/top.ts")).port,
  ),
  "container ls": entry(
    ["ps", "container list", "container ps"],
    "List containers",
    async () => (await import("./commands/ps.ts")).ps,
  ),
  "container inspect": entry(
    [],
    "Display detailed information on one or more containers",
    async () => (await import("./commands/inspect.ts")).containerInspect,
  ),
  "container prune": entry(
    [],
    "Remove all stopped containers",
    async () => (await import("./commands/prune.ts")).containerPrune,
  ),
  "image ls": entry(["images", "image list"], "List images", async () => (await import("./commands/images.ts")).images),
  "image inspect": entry(
    [],
    "Display detailed information on one or more images",
    async () => (await import("./commands/inspect.ts")).imageInspect,
  ),
  "image rm": entry(
    ["rmi", "image remove"],
    "Remove one or more images",
    async () => (await import("./commands/images.ts")).rmi,
  ),
  "image tag": entry(
    ["tag"],
    "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    async () => (await import("./commands/images.ts")).tag,
  ),
  "image history": entry(
    ["history"],
    "Show the history of an image",
    async () => (await import("./commands/images.ts")).history,
  ),
  "image load": entry(
    ["load"],
    "Load an image from a tar archive or STDIN",
    async () => (await import("./commands/image-archive.ts")).load,
  ),
  "image save": entry(
    ["save"],
    "Save one or more images to a tar archive (streamed to STDOUT by default)",
    async () => (await import("./commands/image-archive.ts")).save,
  ),
  "image import": entry(
    ["import"],
    "Import the contents from a tarball to create a filesystem image",
    async () => (await import("./commands/image-archive.ts")).importImage,
  ),
  "image pull": entry(
    ["pull"],
    "Download an image from a registry",
    async () => (await import("./commands/pull.ts")).pull,
  ),
  "image prune": entry([], "Remove unused images", async () => (await import("./commands/prune.ts")).imagePrune),
  "volume create": entry([], "Create a volume", async () => (await import("./commands/volume.ts")).volumeCreate),
  "volume ls": entry(["volume list"], "List volumes", async () => (await import("./commands/volume.ts")).volumeLs),
  "volume inspect": entry(
    [],
    "Display detailed information on one or more volumes",
    async () => (await import("./commands/inspect.ts")).volumeInspect,
  ),
  "volume rm": entry(
    ["volume remove"],
    "Remove one or more volumes",
    async () => (await import("./commands/volume.ts")).volumeRm,
  ),
  "volume prune": entry(
    [],
    "Remove unused local volumes",
    async () => (await import("./commands/prune.ts")).volumePrune,
  ),
  "network ls": entry(["network list"], "List networks", async () => (await import("./commands/network.ts")).networkLs),
  "network inspect": entry(
    [],
    "Display detailed information on one or more networks",
    async () => (await import("./commands/inspect.ts")).networkInspect,
  ),
  "system info": entry(
    ["info"],
    "Display system-wide information",
    async () => (await import("./commands/info.ts")).info,
  ),
  "system events": entry(
    ["events"],
    "Get real time events from the server",
    async () => (await import("./commands/events.ts")).events,
  ),
  "system df": entry([], "Show disk usage", async () => (await import("./commands/info.ts")).systemDf),
  inspect: entry(
    [],
    "Return low-level information on Skiff objects",
    async () => (await import("./commands/inspect.ts")).inspect,
  ),
  version: entry([], "Show the Skiff version information", async () => (await import("./commands/info.ts")).version),
  install: entry(
    [],
    "Set this machine up: systemd unit, group, shell completions",
    async () => (await import("./commands/install.ts")).install,
  ),
  completion: entry(
    [],
    "Generate the autocompletion script for a shell",
    async () => (await import("./commands/completion.ts")).completion,
  ),
};

/** Groups of commands, with the line that help shows. */
export const groups: Readonly<Record<string, string>> = {
  container: "Manage containers",
  image: "Manage images",
  network: "Manage networks",
  system: "Manage Skiff",
  volume: "Manage volumes",
};

/** Every spelling and the long path it stands for. */
export function spellings(): Map<string, string> {
  const all = new Map<string, string>();
  for (const [path, { aliases }] of Object.entries(registry))
    for (const spelling of [path, ...aliases]) all.set(spelling, path);
  return all;
}
