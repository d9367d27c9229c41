import { command } from "../command.ts";
import { pullImage } from "./pull-image.ts";

export const pull = command({
  path: "image pull",
  aliases: ["pull"],
  usage: "NAME[:TAG|@DIGEST]",
  summary: "Download an image from a registry",
  args: { min: 1, max: 1 },
  completes: "images",
  flags: {
    "all-tags": { kind: "bool", short: "a", help: "Download all tagged images in the repository" },
    platform: { kind: "string", help: "Set platform if server is multi-platform capable" },
    quiet: { kind: "bool", short: "q", help: "Suppress verbose output" },
  },
  async run({ args, flags, engine, out }) {
    const [reference = ""] = args;
    if (!flags.quiet && !/[:@][^/]*$/.test(reference)) out.line("Using default tag: latest");
    await pullImage(engine, out, reference, {
      quiet: flags.quiet,
      toStderr: false,
      ...(flags.platform !== undefined && { platform: flags.platform }),
    });
  },
});
