import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { noDaemonBecause, TestDaemon } from "#tests/fixtures/daemon.ts";

const skip = noDaemonBecause !== null;
if (skip) console.log(`skipped: ${noDaemonBecause}`);

let daemon: TestDaemon;
beforeAll(async () => {
  if (!skip) daemon = await TestDaemon.start();
});
afterEach(async () => {
  if (!skip) await daemon.clear();
});
afterAll(async () => {
  if (skip) return;
  expect(await daemon.leftovers()).toEqual([]);
  await daemon[Symbol.asyncDispose]();
});

const skiff = (words: readonly string[]) => daemon.skiff(words);

describe.skipIf(skip)("mounts", () => {
  test("a named volume takes the image's content once and keeps what is written", async () => {
    expect(
      (
        await skiff([
          "run",
          "--rm",
          "-v",
          "keep:/data",
          "busybox:test",
          "sh",
          "-c",
          "cat /data/seed.txt; stat -c %u:%g:%a /data/seed.txt; echo mine > /data/own",
        ])
      ).out,
    ).toBe("from the image\n1000:1000:640\n");
    expect((await skiff(["run", "--rm", "-v", "keep:/data", "busybox:test", "cat", "/data/own"])).out).toBe("mine\n");
    expect(
      (
        await skiff([
          "run",
          "--rm",
          "--mount",
          "type=volume,source=bare,target=/data,volume-nocopy",
          "busybox:test",
          "ls",
          "/data",
        ])
      ).out,
    ).toBe("");
    expect((await skiff(["volume", "ls", "-q"])).out).toBe("bare\nkeep\n");
  });

  test("an image's VOLUME is anonymous, lives with the container and goes with --rm", async () => {
    const { out } = await skiff(["run", "-d", "vol:test", "sleep", "100"]);
    const id = out.trim();
    const name = (await skiff(["inspect", "-f", "{{(index .Mounts 0).Name}}", id])).out.trim();
    expect(name).toMatch(/^[0-9a-f]{64}$/);
    const refused = await skiff(["volume", "rm", name]);
    expect(refused.err).toContain(`remove ${name}: volume is in use - [${id}]`);
    await skiff(["rm", "-f", "-v", id]);
    expect((await skiff(["volume", "ls", "-q"])).out).toBe("");
    await skiff(["run", "--rm", "vol:test", "true"]);
    expect((await skiff(["volume", "ls", "-q"])).out).toBe("");
  });

  test("binds: both ways, read-only, missing source made by -v and refused by --mount", async () => {
    const source = join(daemon.directory, "bind");
    mkdirSync(source);
    writeFileSync(join(source, "in"), "from host\n");
    expect(
      (await skiff(["run", "--rm", "-v", `${source}:/b`, "busybox:test", "sh", "-c", "cat /b/in; echo out > /b/out"]))
        .out,
    ).toBe("from host\n");
    expect(readFileSync(join(source, "out"), "utf8")).toBe("out\n");
    const denied = await skiff(["run", "--rm", "-v", `${source}:/b:ro`, "busybox:test", "touch", "/b/x"]);
    expect(denied.err).toContain("Read-only file system");
    const made = join(daemon.directory, "made", "here");
    await skiff(["run", "--rm", "-v", `${made}:/b`, "busybox:test", "true"]);
    expect(statSync(made).isDirectory()).toBe(true);
    const missing = await skiff([
      "run",
      "--rm",
      "--mount",
      "type=bind,source=/does/not/exist,target=/b",
      "busybox:test",
      "true",
    ]);
    expect(missing.err).toContain(
      'invalid mount config for type "bind": bind source path does not exist: /does/not/exist',
    );
  });

  test("tmpfs, --volumes-from, duplicates", async () => {
    expect(
      (
        await skiff([
          "run",
          "--rm",
          "--tmpfs",
          "/t:size=4m,mode=1700",
          "busybox:test",
          "sh",
          "-c",
          "df -m /t | tail -n 1 | awk '{print $2}'; stat -c %a /t",
        ])
      ).out,
    ).toBe("4\n1700\n");
    await skiff(["create", "--name", "donor", "-v", "shared:/s", "busybox:test"]);
    await skiff(["run", "--rm", "--volumes-from", "donor", "busybox:test", "sh", "-c", "echo x > /s/f"]);
    const readOnly = await skiff([
      "run",
      "--rm",
      "--volumes-from",
      "donor:ro",
      "busybox:test",
      "sh",
      "-c",
      "cat /s/f; touch /s/g",
    ]);
    expect(readOnly.out).toBe("x\n");
    expect(readOnly.err).toContain("Read-only file system");
    const twice = await skiff(["run", "--rm", "-v", "a:/x", "-v", "b:/x", "busybox:test", "true"]);
    expect(twice.err).toContain("Duplicate mount point: /x");
  });

  test("volume create, inspect, prune, bad names", async () => {
    expect((await skiff(["volume", "create", "--label", "a=b", "named"])).out).toBe("named\n");
    expect((await skiff(["volume", "inspect", "-f", "{{.Labels.a}} {{.Driver}}", "named"])).out).toBe("b local\n");
    expect((await skiff(["volume", "create", "a/b"])).err).toContain(
      "includes invalid characters for a local volume name",
    );
    expect((await skiff(["volume", "rm", "nope"])).err).toContain("get nope: no such volume");
    await skiff(["volume", "create"]);
    expect((await skiff(["volume", "prune", "-f"])).out).toContain("Deleted Volumes:");
    expect((await skiff(["volume", "ls", "-q"])).out).toBe("named\n");
    expect((await skiff(["volume", "prune", "-a", "-f"])).out).toContain("named");
  });

  test("a symbolic link in the image leads nowhere outside", async () => {
    const source = join(daemon.directory, "secret");
    mkdirSync(source, { recursive: true });
    writeFileSync(join(source, "f"), "host secret\n");
    const id = (await skiff(["run", "-d", "busybox:test", "sh", "-c", `ln -s ${source} /link; sleep 100`])).out.trim();
    await Bun.sleep(200);
    await skiff(["stop", "-t", "0", id]);
    symlinkSync(source, join(daemon.directory, "unused"));
    // The same path as a volume's target: made inside the container, not where the link points to on the host.
    expect((await skiff(["run", "--rm", "-v", "vv:/link", "busybox:test", "ls", "/link"])).out).toBe("");
    expect(readFileSync(join(source, "f"), "utf8")).toBe("host secret\n");
  });
});
