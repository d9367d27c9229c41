import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { silentLogger } from "#base/log.ts";
import type { ChainId } from "#spec/oci/digest.ts";
import { openOverlaySnapshotter } from "./overlay-snapshotter.ts";
import { importStack, layer, type OpenSnapshotter, SnapshotRoom, snapshotterSuite } from "./snapshot-suite.ts";

const openOverlay: OpenSnapshotter = (options) => openOverlaySnapshotter({ ...options, log: silentLogger });
snapshotterSuite("overlay", openOverlay);

test("a sweep removes what a crash left, and nothing else", async () => {
  await using room = await SnapshotRoom.open(openOverlay);
  const top = await importStack(room.snapshots, [await layer({ a: "x" })]);
  await room.snapshots.prepare("c", top);
  const before = await room.files();
  // An import that was killed, one killed between rename and row, a removal killed between row and rename, and half-way.
  for (const name of ["removed/import-0-7", "removed/3", "9", "77"]) {
    mkdirSync(join(room.root, name, "fs/deep"), { recursive: true });
    writeFileSync(join(room.root, name, "fs/deep/file"), "x");
  }
  writeFileSync(join(room.root, "not ours"), "");
  const snapshots = await room.reopen();
  expect(await room.files()).toEqual([...before, "not ours"].sort());
  expect((await snapshots.list()).map((info) => info.name)).toEqual([top, "c"]);
});

test("an active snapshot whose directories were lost in a power cut can be mounted again", async () => {
  await using room = await SnapshotRoom.open(openOverlay);
  await room.snapshots.prepare("c", await importStack(room.snapshots, [await layer({ a: "x" })]));
  rmSync(dirname(await room.snapshots.upperDirectory("c")), { recursive: true });
  await room.reopen();
  expect(readdirSync(await room.mount("c"))).toEqual(["a"]);
});

test("a snapshot's number is never given again", async () => {
  await using room = await SnapshotRoom.open(openOverlay);
  await room.snapshots.prepare("a", null);
  const first = await room.snapshots.upperDirectory("a");
  await room.snapshots.remove("a");
  await room.reopen();
  await room.snapshots.prepare("a", null);
  expect(await room.snapshots.upperDirectory("a")).not.toBe(first);
  await room.snapshots.close();
  expect(existsSync(first)).toBe(false);
});

test("killed at random moments of imports and removals: what is on record is whole, what is not is gone", async () => {
  await using room = await SnapshotRoom.open(openOverlay);
  const program = join(import.meta.dir, "import-for-ever.fixture.ts");
  const delays = Array.from({ length: 8 }, () => Math.round(Math.random() * 150));
  for (const delay of delays) {
    const child = Bun.spawn([process.execPath, program, room.directory], { stdout: "pipe", stderr: "inherit" });
    for await (const _ of child.stdout) break;
    await Bun.sleep(delay);
    child.kill(9);
    await child.exited;
    const snapshots = await room.reopen();
    const committed = (await snapshots.list()).filter((info) => info.kind === "committed");
    await room.files();
    expect(readdirSync(room.root).filter((name) => name !== "removed")).toHaveLength(committed.length);
    expect(readdirSync(join(room.root, "removed"))).toEqual([]);
    for (const { name, sizeBytes } of committed) {
      await snapshots.prepare("probe", name as ChainId);
      const [mount] = await snapshots.mounts("probe");
      const lower = mount?.options.find((text) => text.startsWith("lowerdir="))?.slice("lowerdir=".length) ?? "";
      expect(readdirSync(lower).length).toBe(sizeBytes);
      await snapshots.remove("probe");
    }
  }
}, 30_000);
