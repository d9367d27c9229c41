import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Metadata } from "./metadata.ts";

let root = "";
let path = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "skiff-metadata-"));
  path = join(root, "db");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const first = "CREATE TABLE thing (name TEXT PRIMARY KEY) STRICT; INSERT INTO thing VALUES ('old')";
const second = "ALTER TABLE thing ADD COLUMN size INTEGER NOT NULL DEFAULT 7";

describe("migrations", () => {
  test("each step runs once, in order, also on a file of before", () => {
    for (const steps of [[first], [first, second], [first, second]]) {
      const metadata = Metadata.open(path);
      metadata.migrate("thing", steps);
      metadata.close();
    }
    const metadata = Metadata.open(path);
    expect(metadata.query<{ name: string; size: number }>("SELECT * FROM thing").all()).toEqual([
      { name: "old", size: 7 },
    ]);
    metadata.close();
  });
  test("a step that fails changes nothing, and can be tried again", () => {
    const metadata = Metadata.open(path);
    expect(() => metadata.migrate("thing", [first, "CREATE TABLE other (a TEXT); NO SQL"])).toThrow();
    metadata.migrate("thing", [first, second]);
    expect(metadata.query("SELECT * FROM sqlite_master WHERE name = 'other'").get()).toBeNull();
    metadata.close();
  });
  test("a file of a newer version is refused; rooms count apart", () => {
    const metadata = Metadata.open(path);
    metadata.migrate("thing", [first, second]);
    metadata.migrate("other", ["CREATE TABLE other (a TEXT) STRICT"]);
    expect(() => metadata.migrate("thing", [first])).toThrow("newer than this program knows");
    metadata.close();
  });
});

test("a transaction is all or nothing, inside another one too", () => {
  const metadata = Metadata.open(":memory:");
  metadata.migrate("thing", [first]);
  const insert = (name: string) => metadata.query("INSERT INTO thing VALUES (?)").run(name);
  const names = () =>
    metadata
      .query<{ name: string }>("SELECT name FROM thing ORDER BY name")
      .all()
      .map((row) => row.name);
  const failing = () =>
    metadata.transaction(() => {
      insert("lost");
      throw new Error("stop");
    });
  expect(failing).toThrow("stop");
  const result = metadata.transaction(() => {
    insert("kept");
    expect(failing).toThrow("stop");
    return 42;
  });
  expect(result).toBe(42);
  expect(names()).toEqual(["kept", "old"]);
  metadata.close();
});

test("what a query has written is there after kill -9", async () => {
  const program = `
    import { Metadata } from ${JSON.stringify(join(import.meta.dir, "metadata.ts"))};
    const metadata = Metadata.open(${JSON.stringify(path)});
    metadata.migrate("thing", ["CREATE TABLE thing (n INTEGER PRIMARY KEY) STRICT"]);
    for (let n = 0; ; n++) { metadata.query("INSERT INTO thing VALUES (?)").run(n); console.log(n); }`;
  const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe", stderr: "inherit" });
  let told = "";
  for await (const chunk of child.stdout) {
    told += Buffer.from(chunk).toString();
    if (told.length > 500) child.kill(9);
  }
  await child.exited;
  const last = Number(told.slice(0, told.lastIndexOf("\n")).split("\n").at(-1));
  const metadata = Metadata.open(path);
  const rows = metadata
    .query<{ n: number }>("SELECT n FROM thing")
    .all()
    .map((row) => row.n);
  metadata.close();
  expect(last).toBeGreaterThan(50);
  expect(rows.length).toBeGreaterThan(last);
});
