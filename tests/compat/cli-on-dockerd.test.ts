/** Our command line and Docker's on the same real dockerd: the same words on stdout, the same exit codes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { run } from "#tests/fixtures/daemon.ts";
import { noDockerdBecause, TestDockerd } from "#tests/fixtures/dockerd.ts";
import { canMakeImages, testImages } from "#tests/fixtures/images.ts";

const skip = noDockerdBecause !== null || !canMakeImages;
if (skip) console.log(`skipped: ${noDockerdBecause ?? "needs /bin/busybox"}`);

let dockerd: TestDockerd;
const main = join(import.meta.dir, "../../src/main.ts");
const skiff = (words: readonly string[], options: { stdin?: string } = {}) =>
  run([process.execPath, main, "-H", `unix://${dockerd.socket}`, ...words], options);
const docker = (words: readonly string[], options: { stdin?: string } = {}) =>
  run(["docker", "-H", `unix://${dockerd.socket}`, ...words], options);

beforeAll(async () => {
  if (skip) return;
  dockerd = await TestDockerd.start();
  const loaded = await skiff(["load", "-q", "-i", await testImages()]);
  if (loaded.code !== 0) throw new Error(loaded.err);
  for (const words of [
    [
      "run",
      "-d",
      "--name",
      "up",
      "--network",
      "none",
      "--label",
      "a=b",
      "--label",
      "c.d=e",
      "busybox:test",
      "sleep",
      "1000",
    ],
    ["run", "--name", "done", "--network", "none", "busybox:test", "sh", "-c", "echo out; echo err >&2; exit 3"],
    ["create", "--name", "made", "--network", "none", "-v", "vol:/v", "busybox:test"],
  ])
    await skiff(words);
});
afterAll(async () => {
  if (skip) return;
  await docker(["rm", "-f", "up", "done", "made"]);
  await dockerd[Symbol.asyncDispose]();
});

/** Times differ by the second between two calls. */
const still = (text: string) =>
  text
    .replace(/\b(\d+ (?:seconds?|minutes?|hours?)|Less than a second|About a minute)( ago)?/g, "SPAN")
    .replace(/ {2,}/g, "  ");
/** dockerd lists images of one age in any order. */
const inOrder = (words: readonly string[], text: string) =>
  words[0] === "images" ? text.split("\n").sort().join("\n") : text;

describe.skipIf(skip)("the same on a real dockerd", () => {
  test.each([
    [["ps"]],
    [["ps", "-a"]],
    [["ps", "-aq", "--no-trunc"]],
    [["ps", "-a", "--filter", "status=exited"]],
    [["ps", "-a", "--filter", "label=a=b", "--format", "{{.ID}} {{.Names}} {{.Image}} {{.Command}} {{.State}}"]],
    [["ps", "-a", "--format", "table {{.Names}}\t{{.Status}}\t{{.Ports}}"]],
    [
      [
        "ps",
        "-a",
        "--format",
        '{{json .Names}} {{.Label "a"}} {{.Labels}} {{.Mounts}} {{.LocalVolumes}} {{.Networks}}',
      ],
    ],
    [["ps", "-a", "--format", "{{.Names}}\t{{upper .Image}}"]],
    [["ps", "-a", "--format", '{{if eq .State "running"}}+{{else}}-{{end}}{{printf "%-8s|" .Names}}']],
    [["container", "ls", "-a", "--filter", "name=do"]],
    [["images"]],
    [["images", "-q"]],
    [["images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}"]],
    [["images", "busybox"]],
    [["images", "--filter", "reference=web:*"]],
    [["history", "web:test", "--no-trunc", "--format", "{{.ID}} {{.CreatedBy}} {{.Size}}"]],
    [["inspect", "-f", "{{.Name}} {{.State.Status}} {{.Config.Image}}", "up", "done"]],
    [["inspect", "-f", '{{json .Config.Labels}} {{index .Config.Labels "c.d"}}', "up"]],
    [["inspect", "-f", "{{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}} {{len .Mounts}}", "made"]],
    [["inspect", "-f", "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}}{{end}}", "made"]],
    [["inspect", "--type", "image", "-f", "{{.Os}}/{{.Architecture}} {{.RepoTags}}", "web:test"]],
    [["image", "inspect", "-f", "{{json .Config.ExposedPorts}}", "web:test"]],
    [["volume", "ls"]],
    [["volume", "ls", "-q"]],
    [["volume", "inspect", "-f", "{{.Name}} {{.Driver}}", "vol"]],
    [["network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"]],
    [["logs", "done"]],
    [["logs", "--tail", "1", "done"]],
    [["wait", "done"]],
    [["top", "up", "-o", "pid,args"]],
    [["exec", "up", "sh", "-c", "echo hi; exit 4"]],
    [["exec", "-e", "X=1", "-w", "/tmp", "up", "sh", "-c", "echo $X; pwd"]],
    [["run", "--rm", "--network", "none", "busybox:test", "sh", "-c", "echo out; exit 9"]],
    [
      [
        "run",
        "--rm",
        "--network",
        "none",
        "-u",
        "app",
        "-m",
        "32m",
        "--hostname",
        "h",
        "busybox:test",
        "sh",
        "-c",
        "id -u; hostname",
      ],
    ],
    [["version", "--format", "{{.Server.Version}}"]],
    [["info", "--format", "{{.Containers}} {{.Driver}}"]],
  ])("%j", async (words) => {
    const [ours, theirs] = await Promise.all([skiff(words), docker(words)]);
    const seen = (text: string) => inOrder(words, still(text));
    expect({ code: ours.code, out: seen(ours.out) }).toEqual({ code: theirs.code, out: seen(theirs.out) });
  });

  test.each([
    [["ps", "--nope"]],
    [["ps", "-Z"]],
    [["run"]],
    [["run", "--name"]],
    [["run", "-m", "x", "busybox:test"]],
    [["run", "--rm", "--network", "none", "busybox:test", "nope"]],
    [["run", "-p", "abc:80", "busybox:test"]],
    [["run", "--rm", "--restart", "always", "busybox:test"]],
    [["rm", "nope"]],
    [["rm", "up"]],
    [["start", "nope"]],
    [["stop", "nope"]],
    [["kill", "done"]],
    [["exec", "done", "true"]],
    [["logs"]],
    [["rmi", "nope"]],
    [["rmi", "busybox:test"]],
    [["tag", "nope", "x"]],
    [["tag", "busybox:test"]],
    [["inspect", "nope"]],
    [["volume", "rm", "vol"]],
    [["volume", "inspect", "nope"]],
    [["network", "inspect", "nope"]],
    [["ps", "--format", "{{.Nope}}"]],
    [["ps", "--filter", "nonsense"]],
    [["create", "--name", "up", "busybox:test"]],
    [["run", "-it", "busybox:test"]],
  ])("refusals: %j", async (words) => {
    const ours = await skiff(words);
    const theirs = await docker(words);
    const asSkiff = (text: string) =>
      text
        .replaceAll("docker", "skiff")
        .replaceAll("Docker", "Skiff")
        .replace(/\b([0-9a-f]{64}|[0-9a-f]{12})\b/g, "ID");
    expect({ code: ours.code, out: ours.out, err: asSkiff(ours.err).trim() }).toEqual({
      code: theirs.code,
      out: theirs.out,
      err: asSkiff(theirs.err).trim(),
    });
  });

  test("stdin, save and load go both ways", async () => {
    expect(
      (await skiff(["run", "--rm", "-i", "--network", "none", "busybox:test", "cat"], { stdin: "typed" })).out,
    ).toBe("typed");
    const archive = join(dockerd.directory, "saved.tar");
    expect((await skiff(["save", "-o", archive, "web:test"])).code).toBe(0);
    expect((await skiff(["load", "-i", archive])).out).toBe("Loaded image: web:test\n");
  });

  test("life: start, pause, rename, restart, kill, rm", async () => {
    for (const words of [
      ["start", "made"],
      ["rename", "made", "renamed"],
      ["pause", "up"],
      ["unpause", "up"],
      ["restart", "-t", "0", "up"],
      ["stop", "-t", "0", "up"],
      ["start", "up"],
      ["kill", "up"],
      ["rm", "renamed"],
    ]) {
      const ran = await skiff(words);
      expect({ words, code: ran.code, err: ran.err }).toEqual({ words, code: 0, err: "" });
    }
  });
});
