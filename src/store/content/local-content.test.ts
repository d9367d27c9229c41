import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Digest, digestOf } from "#spec/oci/digest.ts";
import type { ContentStore } from "./content.ts";
import { openContentStore } from "./local-content.ts";

let root = "";
let store: ContentStore;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "skiff-content-"));
  store = await openContentStore(root);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

async function* chunks(...parts: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    await Promise.resolve();
    yield Buffer.from(part);
  }
}
const files = () =>
  (readdirSync(root, { recursive: true, withFileTypes: true }) as { name: string; isFile(): boolean }[])
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort();
const text = async (digest: Digest, offset?: number) =>
  Buffer.concat(await Array.fromAsync(store.stream(digest, offset))).toString();
const hex = (content: string) => digestOf(content).slice(7);

describe("blobs", () => {
  test("come in whole, once, by their digest", async () => {
    const blob = await store.ingest(chunks("hel", "", "lo"));
    expect(blob).toEqual({ digest: digestOf("hello"), size: 5 });
    expect(await store.ingest(chunks("hello"))).toEqual(blob);
    expect(await store.stat(blob.digest)).toEqual(blob);
    expect(await Array.fromAsync(store.list())).toEqual([blob]);
    expect(files()).toEqual([hex("hello")]);
    expect(await text(blob.digest)).toBe("hello");
    expect(await text(blob.digest, 3)).toBe("lo");
    expect(await text(blob.digest, 5)).toBe("");
    expect(Buffer.from(await store.read(blob.digest)).toString()).toBe("hello");
  });
  test("the empty one", async () => {
    const { digest } = await store.ingest(chunks());
    expect([digest, await text(digest)]).toEqual([digestOf(""), ""]);
  });
  test("are kept over a restart, and nobody else may read them", async () => {
    const { digest } = await store.ingest(chunks("hello"));
    store = await openContentStore(root);
    expect(await text(digest)).toBe("hello");
    expect(statSync(join(root, "blobs/sha256")).mode & 0o077).toBe(0);
  });
  test("one that is expected and there is not read again", async () => {
    const { digest } = await store.ingest(chunks("hello"));
    async function* never(): AsyncGenerator<Uint8Array> {
      yield await Promise.reject(new Error("was read"));
    }
    expect(await store.ingest(never(), { digest })).toEqual({ digest, size: 5 });
  });
  test("the same one twenty times at the same time", async () => {
    const big = Buffer.alloc(300_000, "b");
    const blobs = await Promise.all(Array.from({ length: 20 }, () => store.ingest(chunks(big, big))));
    expect(new Set(blobs.map(({ digest }) => digest)).size).toBe(1);
    expect(files()).toHaveLength(1);
  });
});

describe("what is not as expected leaves nothing", () => {
  const digest = digestOf("hello");
  test.each([
    ["another digest", ["hellO"], { digest }],
    ["too short", ["hell"], { digest, size: 5 }],
    ["too long", ["hello", "!"], { digest, size: 5 }],
    ["another size", ["hello"], { digest, size: 6 }],
  ])("%s", async (_, parts, expected) => {
    await expect(store.ingest(chunks(...parts), expected)).rejects.toMatchObject({ kind: "corrupt", subject: digest });
    expect(files()).toEqual([]);
  });
  test("an endless source is left at the expected size", async () => {
    let given = 0;
    let ended = false;
    async function* endless() {
      try {
        for (;;) {
          given += 4096;
          yield Buffer.alloc(4096);
        }
      } finally {
        ended = true;
      }
    }
    await expect(store.ingest(endless(), { digest, size: 10_000 })).rejects.toMatchObject({ kind: "corrupt" });
    expect(given).toBeLessThan(20_000);
    expect(ended).toBe(true);
  });
  test("a source that fails", async () => {
    async function* failing() {
      yield Buffer.from("hel");
      throw new Error("connection reset");
    }
    await expect(store.ingest(failing())).rejects.toThrow("connection reset");
    expect(files()).toEqual([]);
  });
  test("an ingest that was killed, at the next start", async () => {
    writeFileSync(join(root, "tmp/ingest-1-0"), "half");
    await openContentStore(root);
    expect(files()).toEqual([]);
  });
});

describe("what is absent", () => {
  const digest = digestOf("absent");
  test("stat is null, reading is an error, removing is nothing", async () => {
    expect(await store.stat(digest)).toBeNull();
    await expect(text(digest)).rejects.toMatchObject({ kind: "not-found" });
    await expect(store.read(digest)).rejects.toMatchObject({ kind: "not-found" });
    await store.remove(digest);
  });
  test("a stranger's file is no blob", async () => {
    writeFileSync(join(root, "blobs/sha256/README"), "x");
    expect(await Array.fromAsync(store.list())).toEqual([]);
  });
});

test("a large blob is not read as a small one", async () => {
  const { digest } = await store.ingest(chunks("hello"));
  await expect(store.read(digest, 4)).rejects.toMatchObject({ kind: "invalid" });
});

test("removal: gone before the call returns, a reader under way reads on", async () => {
  const big = Buffer.alloc(2_000_000, "b");
  const { digest } = await store.ingest(chunks(big));
  const reader = store.stream(digest)[Symbol.asyncIterator]();
  let got = (await reader.next()).value?.byteLength ?? 0;
  const removal = store.remove(digest);
  expect(files().filter((name) => name === digest.slice(7))).toEqual([]);
  await removal;
  for (let step = await reader.next(); step.done !== true; step = await reader.next()) got += step.value.byteLength;
  expect(got).toBe(big.byteLength);
  expect(files()).toEqual([]);
});

test("a reader that stops early leaves no descriptor open", async () => {
  const { digest } = await store.ingest(chunks(Buffer.alloc(2_000_000)));
  const held = () => readdirSync("/proc/self/fd").length;
  const before = held();
  for (let index = 0; index < 20; index++) for await (const _ of store.stream(digest)) break;
  for (let waited = 0; held() > before && waited < 100; waited++) await Bun.sleep(10);
  expect(held()).toBe(before);
});

test("ingests at the same time do not meet", async () => {
  const results = await Promise.all(["a", "b", "c"].map((content) => store.ingest(chunks(content))));
  expect(results.map(({ digest }) => readFileSync(join(root, "blobs/sha256", digest.slice(7)), "utf8"))).toEqual([
    "a",
    "b",
    "c",
  ]);
});
