/** Images as archives: load, save, import. */
import { createWriteStream, existsSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { ProgressMessage } from "#spec/engine-api/image.ts";
import { CliError, command } from "../command.ts";
import { ProgressDisplay } from "../progress.ts";

/** A file, or what is piped in. @throws CliError when the file is not there */
function archiveBody(path: string | undefined): ReadableStream<Uint8Array> | Blob {
  if (path === undefined || path === "-") return Bun.stdin.stream();
  if (!existsSync(path)) throw new CliError(`open ${path}: no such file or directory`, 1);
  return Bun.file(path);
}

export const load = command({
  path: "image load",
  aliases: ["load"],
  usage: "",
  summary: "Load an image from a tar archive or STDIN",
  args: { min: 0, max: 0 },
  flags: {
    input: { kind: "string", short: "i", help: "Read from tar archive file, instead of STDIN" },
    quiet: { kind: "bool", short: "q", help: "Suppress the load output" },
    platform: { kind: "list", help: "Load only the given platform(s)" },
  },
  async run({ flags, engine }) {
    if (flags.input === undefined && process.stdin.isTTY)
      throw new CliError("requested load from stdin, but stdin is empty", 1);
    const messages = engine.messages<ProgressMessage>("POST", "/images/load", {
      query: { quiet: flags.quiet },
      body: archiveBody(flags.input),
      headers: { "Content-Type": "application/x-tar" },
    });
    using display = new ProgressDisplay(process.stdout, false);
    for await (const message of messages) {
      if (message.error !== undefined) throw new CliError(message.error, 1);
      display.show(message);
    }
  },
});

export const save = command({
  path: "image save",
  aliases: ["save"],
  usage: "IMAGE [IMAGE...]",
  summary: "Save one or more images to a tar archive (streamed to STDOUT by default)",
  args: { min: 1, max: Number.POSITIVE_INFINITY },
  completes: "images",
  flags: {
    output: { kind: "string", short: "o", help: "Write to a file, instead of STDOUT" },
    platform: { kind: "list", help: "Save only the given platform(s)" },
  },
  async run({ args, flags, engine, out }) {
    const target = flags.output;
    if (target === undefined && out.isTerminal)
      throw new CliError("cowardly refusing to save to a terminal. Use the -o flag or redirect", 1);
    if (target !== undefined) checkTarget(target);
    const response = await engine.request("GET", "/images/get", { query: { names: args } });
    if (target === undefined) {
      for await (const chunk of response.body) await out.write(chunk);
      return;
    }
    // Under another name until it is whole: a broken pull of bytes leaves no file that looks like an archive.
    const temporary = `${target}.skiff-${process.pid}`;
    try {
      const file = createWriteStream(temporary);
      for await (const chunk of response.body)
        if (!file.write(chunk)) await new Promise((resolve) => file.once("drain", resolve));
      await new Promise<void>((resolve, reject) => {
        file.once("error", reject);
        file.end(() => resolve());
      });
      renameSync(temporary, target);
    } finally {
      rmSync(temporary, { force: true });
    }
  },
});

function checkTarget(path: string): void {
  const folder = dirname(path);
  if (!existsSync(folder))
    throw new CliError(`failed to save image: invalid output path: directory "${folder}" does not exist`, 1);
  if (existsSync(path) && statSync(path).isDirectory())
    throw new CliError(`failed to save image: invalid output path: "${path}" is a directory`, 1);
}

export const importImage = command({
  path: "image import",
  aliases: ["import"],
  usage: "file|URL|- [REPOSITORY[:TAG]]",
  summary: "Import the contents from a tarball to create a filesystem image",
  args: { min: 1, max: 2 },
  completes: "files",
  flags: {
    change: { kind: "list", short: "c", help: "Apply Dockerfile instruction to the created image" },
    message: { kind: "string", short: "m", help: "Set commit message for imported image" },
    platform: { kind: "string", help: "Set platform if server is multi-platform capable" },
  },
  async run({ args, flags, engine, out }) {
    const [source = "", reference = ""] = args;
    if (/^https?:\/\//.test(source))
      throw new CliError(`importing from a URL is not supported: fetch ${source} first and import the file`, 1);
    const messages = engine.messages<ProgressMessage>("POST", "/images/create", {
      query: { fromSrc: "-", repo: reference, message: flags.message, changes: flags.change, platform: flags.platform },
      body: archiveBody(source),
      headers: { "Content-Type": "application/x-tar" },
    });
    for await (const message of messages) {
      if (message.error !== undefined) throw new CliError(message.error, 1);
      if (message.status !== undefined) out.line(message.status);
    }
  },
});
