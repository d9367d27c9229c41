/** Listing, naming and removing images. */
import type { ImageDeleteItem, ImageHistoryItem, ImageSummary } from "#spec/engine-api/image.ts";
import { familiarName, parseReference, withDefaultTag } from "#spec/reference/reference.ts";
import { CliError, command } from "../command.ts";
import { type ListFormat, printList } from "../format/table.ts";
import { ago, ellipsis, goTime, humanSize, shortId } from "../format/words.ts";
import { forEachInTurn } from "./each.ts";
import { filterFlag, filterQuery, formatFlag } from "./filter.ts";
import { configuredFormat } from "./ps.ts";

interface ImageLine {
  readonly image: ImageSummary;
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
}

function linesOf(image: ImageSummary): ImageLine[] {
  const named = image.RepoTags.map((name) => {
    const colon = name.lastIndexOf(":");
    return { image, repository: name.slice(0, colon), tag: name.slice(colon + 1), digest: "<none>" };
  });
  return named.length > 0 ? named : [{ image, repository: "<none>", tag: "<none>", digest: "<none>" }];
}

function imageFormat(noTrunc: boolean, digests: boolean): ListFormat<ImageLine> {
  return {
    type: "*formatter.imageContext",
    headers: {
      ID: "IMAGE ID",
      CreatedSince: "CREATED",
      CreatedAt: "CREATED AT",
      SharedSize: "SHARED SIZE",
      UniqueSize: "UNIQUE SIZE",
    },
    table: `{{.Repository}}\t{{.Tag}}${digests ? "\t{{.Digest}}" : ""}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}`,
    quiet: "{{.ID}}",
    fields: ({ image, repository, tag, digest }) => ({
      Containers: image.Containers < 0 ? "N/A" : String(image.Containers),
      CreatedAt: goTime(image.Created),
      CreatedSince: ago(image.Created),
      Digest: digest,
      ID: noTrunc ? image.Id : shortId(image.Id),
      Repository: repository,
      SharedSize: image.SharedSize < 0 ? "N/A" : humanSize(image.SharedSize),
      Size: humanSize(image.Size),
      Tag: tag,
      UniqueSize: image.SharedSize < 0 ? "N/A" : humanSize(image.Size - image.SharedSize),
      VirtualSize: humanSize(image.Size),
    }),
  };
}

export const images = command({
  path: "image ls",
  aliases: ["images", "image list"],
  usage: "[REPOSITORY[:TAG]]",
  summary: "List images",
  args: { min: 0, max: 1 },
  completes: "images",
  flags: {
    all: { kind: "bool", short: "a", help: "Show all images (default hides intermediate images)" },
    digests: { kind: "bool", help: "Show digests" },
    filter: filterFlag,
    format: formatFlag,
    "no-trunc": { kind: "bool", help: "Don't truncate output" },
    quiet: { kind: "bool", short: "q", help: "Only show image IDs" },
  },
  async run({ args, flags, engine, out }) {
    const filters = filterQuery([...flags.filter, ...args.map((reference) => `reference=${reference}`)]);
    const list = await engine.json<ImageSummary[]>("GET", "/images/json", { query: { all: flags.all, filters } });
    const format = flags.format ?? (flags.quiet ? undefined : configuredFormat("imagesFormat"));
    const wanted = args[0]?.includes(":") ? args[0] : undefined;
    const lines = list
      .flatMap(linesOf)
      .filter(
        ({ repository, tag }) => wanted === undefined || wanted.includes("*") || `${repository}:${tag}` === wanted,
      );
    await printList(out, lines, imageFormat(flags["no-trunc"], flags.digests), {
      ...(format !== undefined && { format }),
      quiet: flags.quiet,
    });
  },
});

export const rmi = command({
  path: "image rm",
  aliases: ["rmi", "image remove"],
  usage: "IMAGE [IMAGE...]",
  summary: "Remove one or more images",
  args: { min: 1, max: Number.POSITIVE_INFINITY },
  completes: "images",
  flags: {
    force: { kind: "bool", short: "f", help: "Force removal of the image" },
    "no-prune": { kind: "bool", help: "Do not delete untagged parents" },
  },
  run: ({ args, flags, engine, out }) =>
    forEachInTurn(out, args, async (name) => {
      const items = await engine.json<ImageDeleteItem[]>("DELETE", `/images/${name}`, {
        query: { force: flags.force, noprune: flags["no-prune"] },
      });
      for (const item of items)
        out.line("Untagged" in item ? `Untagged: ${item.Untagged}` : `Deleted: ${item.Deleted}`);
      return "";
    }),
});

export const tag = command({
  path: "image tag",
  aliases: ["tag"],
  usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
  summary: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
  args: { min: 2, max: 2 },
  completes: "images",
  flags: {},
  async run({ args, engine }) {
    const [source = "", target = ""] = args;
    let repo: string;
    let tagName: string;
    try {
      const reference = withDefaultTag(parseReference(target));
      if (reference.tag === undefined) throw new Error("refusing to create a tag with a digest reference");
      [repo, tagName] = [familiarName(reference), reference.tag];
    } catch (error) {
      throw new CliError(
        `Error parsing reference: ${JSON.stringify(target)} is not a valid repository/tag: ${error instanceof Error ? error.message : String(error)}`,
        1,
      );
    }
    await engine.send("POST", `/images/${source}/tag`, { query: { repo, tag: tagName } });
  },
});

function historyFormat(noTrunc: boolean, human: boolean): ListFormat<ImageHistoryItem> {
  return {
    type: "*formatter.historyContext",
    headers: { ID: "IMAGE", CreatedSince: "CREATED", CreatedAt: "CREATED AT", CreatedBy: "CREATED BY" },
    table: `{{.ID}}\t{{.${human ? "CreatedSince" : "CreatedAt"}}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}`,
    quiet: "{{.ID}}",
    fields: (item) => ({
      Comment: item.Comment,
      CreatedAt: new Date(item.Created * 1000).toISOString().replace(".000Z", "Z"),
      CreatedBy: noTrunc ? item.CreatedBy : ellipsis(item.CreatedBy.replaceAll("\t", " "), 45),
      CreatedSince: ago(item.Created),
      ID: noTrunc || item.Id === "<missing>" ? item.Id : shortId(item.Id),
      Size: human ? humanSize(item.Size) : String(item.Size),
    }),
  };
}

export const history = command({
  path: "image history",
  aliases: ["history"],
  usage: "IMAGE",
  summary: "Show the history of an image",
  args: { min: 1, max: 1 },
  completes: "images",
  flags: {
    format: formatFlag,
    human: { kind: "bool", short: "H", help: "Print sizes and dates in human readable format", default: "true" },
    "no-trunc": { kind: "bool", help: "Don't truncate output" },
    quiet: { kind: "bool", short: "q", help: "Only show image IDs" },
  },
  async run({ args, flags, given, engine, out }) {
    const items = await engine.json<ImageHistoryItem[]>("GET", `/images/${args[0]}/history`);
    const human = !given.has("human") || flags.human;
    await printList(out, items, historyFormat(flags["no-trunc"], human), {
      ...(flags.format !== undefined && { format: flags.format }),
      quiet: flags.quiet,
    });
  },
});
