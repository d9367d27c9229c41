/** Removal of what nobody uses, after a question. */
import { createInterface } from "node:readline/promises";
import type { ImageDeleteItem } from "#spec/engine-api/image.ts";
import { command } from "../command.ts";
import { humanSize } from "../format/words.ts";
import { filterQuery } from "./filter.ts";

const forceFlag = { kind: "bool", short: "f", help: "Do not prompt for confirmation" } as const;
const filterFlag = { kind: "list", type: "filter", help: 'Provide filter values (e.g. "until=<timestamp>")' } as const;

/** Asks until `y`; the answer of a pipe counts too. */
async function confirmed(warning: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const answer = await lines.question(`WARNING! ${warning}\nAre you sure you want to continue? [y/N] `);
    return ["y", "yes"].includes(answer.trim().toLowerCase());
  } finally {
    lines.close();
  }
}

export const containerPrune = command({
  path: "container prune",
  usage: "",
  summary: "Remove all stopped containers",
  args: { min: 0, max: 0 },
  flags: { filter: filterFlag, force: forceFlag },
  async run({ flags, engine, out }) {
    if (!flags.force && !(await confirmed("This will remove all stopped containers."))) return;
    const result = await engine.json<{ ContainersDeleted: string[] | null; SpaceReclaimed: number }>(
      "POST",
      "/containers/prune",
      { query: { filters: filterQuery(flags.filter) } },
    );
    const deleted = result.ContainersDeleted ?? [];
    if (deleted.length > 0) out.line(`Deleted Containers:\n${deleted.join("\n")}\n`);
    out.line(`Total reclaimed space: ${humanSize(result.SpaceReclaimed)}`);
  },
});

export const imagePrune = command({
  path: "image prune",
  usage: "",
  summary: "Remove unused images",
  args: { min: 0, max: 0 },
  flags: {
    all: { kind: "bool", short: "a", help: "Remove all unused images, not just dangling ones" },
    filter: filterFlag,
    force: forceFlag,
  },
  async run({ flags, engine, out }) {
    const warning = flags.all
      ? "This will remove all images without at least one container associated to them."
      : "This will remove all dangling images.";
    if (!flags.force && !(await confirmed(warning))) return;
    const filters = filterQuery([...flags.filter, `dangling=${!flags.all}`]);
    const result = await engine.json<{ ImagesDeleted: ImageDeleteItem[] | null; SpaceReclaimed: number }>(
      "POST",
      "/images/prune",
      { query: { filters } },
    );
    const deleted = (result.ImagesDeleted ?? []).map((item) =>
      "Untagged" in item ? `untagged: ${item.Untagged}` : `deleted: ${item.Deleted}`,
    );
    if (deleted.length > 0) out.line(`Deleted Images:\n${deleted.join("\n")}\n`);
    out.line(`Total reclaimed space: ${humanSize(result.SpaceReclaimed)}`);
  },
});

export const volumePrune = command({
  path: "volume prune",
  usage: "",
  summary: "Remove unused local volumes",
  args: { min: 0, max: 0 },
  flags: {
    all: { kind: "bool", short: "a", help: "Remove all unused volumes, not just anonymous ones" },
    filter: filterFlag,
    force: forceFlag,
  },
  async run({ flags, engine, out }) {
    const warning = flags.all
      ? "This will remove all local volumes not used by at least one container."
      : "This will remove anonymous local volumes not used by at least one container.";
    if (!flags.force && !(await confirmed(warning))) return;
    const filters = filterQuery([...flags.filter, ...(flags.all ? ["all=true"] : [])]);
    const result = await engine.json<{ VolumesDeleted: string[] | null; SpaceReclaimed: number }>(
      "POST",
      "/volumes/prune",
      { query: { filters } },
    );
    const deleted = result.VolumesDeleted ?? [];
    if (deleted.length > 0) out.line(`Deleted Volumes:\n${deleted.join("\n")}\n`);
    out.line(`Total reclaimed space: ${humanSize(result.SpaceReclaimed)}`);
  },
});
