import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { silentLogger } from "#base/log.ts";
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
