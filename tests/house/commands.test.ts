import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { programVersion } from "#base/version.ts";
import { completionScript, shells } from "#client/cli/completion-scripts.ts";
import { commandHelp } from "#client/cli/help.ts";
import { registry } from "#client/cli/registry.ts";

const root = join(import.meta.dir, "../..");

test("the list of commands and the commands say the same", async () => {
  for (const [path, entry] of Object.entries(registry)) {
    const command = await entry.load();
    expect({ path: command.path, aliases: [...(command.aliases ?? [])], summary: command.summary }).toEqual({
      path,
      aliases: [...entry.aliases],
      summary: entry.summary,
    });
  }
});

test("every command has help, every flag a description, no letter means two flags", async () => {
  for (const { load } of Object.values(registry)) {
    const command = await load();
    expect(commandHelp(command, 80)).toContain("Usage:  skiff ");
    const letters = Object.values(command.flags).flatMap((flag) => flag.short ?? []);
    expect(new Set(letters).size).toBe(letters.length);
    for (const flag of Object.values(command.flags)) expect(flag.help.length).toBeGreaterThan(3);
  }
});

test("flags have the names, letters and kinds of Docker's", async () => {
  const file = join(root, "../shared/spec/docker-cli-flags.json");
  if (!existsSync(file)) {
    console.log("skipped: the list of Docker's flags is not beside the repository");
    return;
  }
  const docker = JSON.parse(readFileSync(file, "utf8")) as Record<
    string,
    { flags: { names: string[]; type: string }[] }
  >;
  const own = new Set(["install", "completion"]);
  for (const [path, { load }] of Object.entries(registry)) {
    const theirs = docker[path];
    if (theirs === undefined || own.has(path)) continue;
    const command = await load();
    for (const [name, flag] of Object.entries(command.flags)) {
      const match = theirs.flags.find(({ names }) => names.includes(`--${name}`));
      if (match === undefined) {
        // Spellings that Docker's own list leaves out of sight.
        expect({ path, name, hidden: flag.hidden }).toEqual({ path, name, hidden: true });
        continue;
      }
      const short = match.names.find((spelling) => /^-[^-]$/.test(spelling))?.slice(1);
      expect({ path, name, short: flag.short, bool: flag.kind === "bool" }).toEqual({
        path,
        name,
        short,
        bool: match.type === "bool",
      });
    }
  }
});

test.each(shells)("the %s completion knows every command", async (shell) => {
  const script = await completionScript(shell);
  for (const path of Object.keys(registry)) expect(script).toContain(path.split(" ").at(-1) ?? "");
});

test("bash accepts its completion", async () => {
  const check = Bun.spawnSync(["bash", "-n"], { stdin: Buffer.from(await completionScript("bash")) });
  expect(check.stderr.toString()).toBe("");
});

test("one version everywhere", () => {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  expect(programVersion).toBe(version);
  expect(readFileSync(join(root, "src/main.ts"), "utf8")).toContain(`const version = "${version}";`);
});
