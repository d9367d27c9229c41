/** A program for a test to kill: imports layers of one-byte files and removes every other one, until it is ended. */
import { join } from "node:path";
import { silentLogger } from "#base/log.ts";
import { Metadata } from "#store/metadata/metadata.ts";
import { openOverlaySnapshotter } from "./overlay-snapshotter.ts";
import { importStack, layer } from "./snapshot-suite.ts";

const [, , directory = ""] = process.argv;
const metadata = Metadata.open(join(directory, "db"));
const snapshots = await openOverlaySnapshotter({ root: join(directory, "s"), metadata, log: silentLogger });
console.log("ready");
for (let round = 0; ; round++) {
  const files = Object.fromEntries(
    Array.from({ length: 100 + (round % 7) }, (_, index) => [`${process.pid}-${round}-${index}`, "x"]),
  );
  const chain = await importStack(snapshots, [await layer(files)]);
  if (round % 2 === 0) await snapshots.remove(chain);
}
