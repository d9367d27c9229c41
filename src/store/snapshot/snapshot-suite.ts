/** What every snapshotter must do, as tests: each implementation runs this same suite over a store of its own. */
import { describe, expect, test } from "bun:test";
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bindMount, mountOverlay, unmountAllBelow } from "#linux/mount/mount.ts";
import { type ChainId, chainIds, type DiffId, digestOf } from "#spec/oci/digest.ts";
import { type TarEntry, tarEntry } from "#spec/tar/tar.ts";
import { writeTar } from "#spec/tar/write.ts";
import { Metadata } from "#store/metadata/metadata.ts";
import type { Snapshotter } from "./snapshot.ts";

export type OpenSnapshotter = (options: { root: string; metadata: Metadata }) => Promise<Snapshotter>;

/** A data-root for one test, with its snapshotter; `reopen` is the next life of the daemon. */
export class SnapshotRoom implements AsyncDisposable {
  readonly root: string;
  #mounts = 0;

  private constructor(
    private readonly openSnapshotter: OpenSnapshotter,
    readonly directory: string,
    private metadata: Metadata,
    public snapshots: Snapshotter,
  ) {
    this.root = join(directory, "s");
  }

  static async open(openSnapshotter: OpenSnapshotter): Promise<SnapshotRoom> {
    const directory = mkdtempSync(join(tmpdir(), "skiff-snap-"));
    const metadata = Metadata.open(join(directory, "db"));
    const snapshots = await openSnapshotter({ root: join(directory, "s"), metadata });
    return new SnapshotRoom(openSnapshotter, directory, metadata, snapshots);
  }

  async reopen(): Promise<Snapshotter> {
    await this.snapshots.close();
    this.metadata.close();
    this.metadata = Metadata.open(join(this.directory, "db"));
    this.snapshots = await this.openSnapshotter({ root: this.root, metadata: this.metadata });
    await this.snapshots.sweep();
    return this.snapshots;
  }

  /** Mounts an active snapshot and returns where. */
  async mount(key: string): Promise<string> {
    const target = join(this.directory, `mnt${this.#mounts++}`);
    await mkdir(target);
    for (const { type, source, options } of await this.snapshots.mounts(key)) {
      const option = (name: string) =>
        options.find((text) => text.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";
      if (type === "bind") bindMount(source, target);
      else mountOverlay(target, option("lowerdir").split(":"), option("upperdir"), option("workdir"));
    }
    return target;
  }

  /** Everything on disk below the snapshotter's root, names only. */
  async files(): Promise<string[]> {
    await this.snapshots.close();
    return (readdirSync(this.root, { recursive: true }) as string[]).filter((name) => name !== "removed").sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    unmountAllBelow(this.directory);
    await this.snapshots.close();
    this.metadata.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export interface TestLayer {
  readonly tar: Buffer;
  readonly diffId: DiffId;
}

/** A layer of files, named with their text; a name that ends in `/` is a directory. */
export async function layer(files: Record<string, string>, more: Partial<TarEntry> = {}): Promise<TestLayer> {
  const items = Object.entries(files).map(([name, text]) =>
    name.endsWith("/")
      ? { entry: tarEntry({ ...more, name, type: "directory" }) }
      : {
          entry: tarEntry({ ...more, name, type: "file", sizeBytes: Buffer.byteLength(text) }),
          body: [Buffer.from(text)],
        },
  );
  const tar = Buffer.concat(await Array.fromAsync(writeTar(items)));
  return { tar, diffId: digestOf(tar) as string as DiffId };
}

export async function* chunks(bytes: Uint8Array, size = 4096): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.byteLength; offset += size) {
    yield bytes.subarray(offset, offset + size);
    await Promise.resolve();
  }
}

/** Imports a stack, bottom first, all at once. @returns the chain of its top */
export async function importStack(snapshots: Snapshotter, layers: readonly TestLayer[]): Promise<ChainId> {
  const chains = chainIds(layers.map(({ diffId }) => diffId));
  const requests = layers.map(({ tar, diffId }, index) => {
    const chain = chains[index];
    if (chain === undefined) throw new Error("a chain is missing");
    return snapshots.importLayer({ chain, parent: chains[index - 1] ?? null, diffId, tar: chunks(tar) });
  });
  await Promise.all(requests);
  const top = chains.at(-1);
  if (top === undefined) throw new Error("an empty stack has no top");
  return top;
}

export function snapshotterSuite(name: string, openSnapshotter: OpenSnapshotter): void {
  const open = () => SnapshotRoom.open(openSnapshotter);

  describe(`${name}: layers`, () => {
    test("stack up: later ones replace, add and hide", async () => {
      await using room = await open();
      const top = await importStack(room.snapshots, [
        await layer({ "d/": "", "d/a": "1", "d/b": "1", f: "1", "o/": "", "o/old": "1" }),
        await layer({ "d/": "", "d/a": "2", "d/.wh.b": "", "o/": "", "o/.wh..wh..opq": "", "o/new": "2" }),
        await layer({ ".wh.f": "", g: "3" }),
      ]);
      await room.snapshots.prepare("c", top);
      const root = await room.mount("c");
      expect(readdirSync(root, { recursive: true }).sort()).toEqual(["d", "d/a", "g", "o", "o/new"]);
      expect(readFileSync(join(root, "d/a"), "utf8")).toBe("2");
    });
    test("are told of by stat and list, and kept over a restart", async () => {
      await using room = await open();
      const base = await layer({ a: "12345" });
      const chain = await importStack(room.snapshots, [base]);
      const info = { name: chain, kind: "committed" as const, parent: null, sizeBytes: 5 };
      expect(await room.snapshots.stat(chain)).toEqual(info);
      expect(await (await room.reopen()).list()).toEqual([info]);
    });
    test("the same one at the same time is made once, and again costs no reading", async () => {
      await using room = await open();
      const { tar, diffId } = await layer({ a: "x".repeat(100_000) });
      const chain = diffId as string as ChainId;
      let reads = 0;
      async function* counted() {
        reads++;
        yield* chunks(tar);
      }
      const once = () => room.snapshots.importLayer({ chain, parent: null, diffId, tar: counted() });
      const infos = await Promise.all([once(), once(), once()]);
      expect(new Set(infos.map((info) => JSON.stringify(info))).size).toBe(1);
      expect(reads).toBe(1);
    });
    test("a hundred and thirty layers mount", async () => {
      await using room = await open();
      const layers = await Promise.all(
        Array.from({ length: 130 }, (_, index) => layer({ [`f${index}`]: "", same: `${index}` })),
      );
      await room.snapshots.prepare("c", await importStack(room.snapshots, layers));
      const root = await room.mount("c");
      expect(readdirSync(root)).toHaveLength(131);
      expect(readFileSync(join(root, "same"), "utf8")).toBe("129");
    });
  });

  describe(`${name}: bad layers leave nothing`, () => {
    const bad: Record<string, (good: TestLayer) => AsyncIterable<Uint8Array>> = {
      "a wrong digest": ({ tar }) => chunks(Buffer.concat([tar, Buffer.alloc(512)])),
      "cut off": ({ tar }) => chunks(tar.subarray(0, 700)),
      "cut off between entries": ({ tar }) => chunks(tar.subarray(0, 1024)),
      garbage: () => chunks(Buffer.alloc(5000, "garbage")),
      empty: () => chunks(Buffer.alloc(0)),
      "a source that fails": async function* ({ tar }) {
        yield tar.subarray(0, 700);
        throw new Error("connection reset");
      },
    };
    for (const [what, source] of Object.entries(bad)) {
      test(what, async () => {
        await using room = await open();
        const good = await layer({ "a/": "", "a/b": "text", c: "text" });
        const before = await room.files();
        const chain = good.diffId as string as ChainId;
        const importing = room.snapshots.importLayer({ chain, parent: null, diffId: good.diffId, tar: source(good) });
        await expect(importing).rejects.toThrow();
        expect(await room.snapshots.stat(chain)).toBeNull();
        expect(await room.files()).toEqual(before);
        await importStack(room.snapshots, [good]);
        expect((await room.snapshots.stat(chain))?.sizeBytes).toBe(8);
      });
    }
  });

  describe(`${name}: active snapshots`, () => {
    test("are written to alone", async () => {
      await using room = await open();
      const top = await importStack(room.snapshots, [await layer({ a: "image" })]);
      await room.snapshots.prepare("one", top);
      await room.snapshots.prepare("two", top);
      const [one, two] = [await room.mount("one"), await room.mount("two")];
      writeFileSync(join(one, "a"), "changed");
      writeFileSync(join(one, "new"), "xyz");
      expect(readFileSync(join(two, "a"), "utf8")).toBe("image");
      expect(readdirSync(two)).toEqual(["a"]);
      expect(await room.snapshots.usage("one")).toBe(10);
      expect(readdirSync(await room.snapshots.upperDirectory("one")).sort()).toEqual(["a", "new"]);
      expect(await room.snapshots.usage("two")).toBe(0);
    });
    test("without a parent are empty", async () => {
      await using room = await open();
      await room.snapshots.prepare("c", null);
      const root = await room.mount("c");
      expect(readdirSync(root)).toEqual([]);
      writeFileSync(join(root, "x"), "x");
      expect(await room.snapshots.usage("c")).toBe(1);
    });
    test("have a root that everybody can enter, whatever the daemon's umask", async () => {
      await using room = await open();
      const umask = process.umask(0o077);
      try {
        await room.snapshots.prepare("c", await importStack(room.snapshots, [await layer({ a: "" })]));
      } finally {
        process.umask(umask);
      }
      expect(lstatSync(await room.mount("c")).mode & 0o7777).toBe(0o755);
    });
    test("keep what was written over a restart", async () => {
      await using room = await open();
      await room.snapshots.prepare("c", await importStack(room.snapshots, [await layer({ a: "" })]));
      writeFileSync(join(await room.mount("c"), "b"), "kept");
      await room.reopen();
      expect(readFileSync(join(await room.mount("c"), "b"), "utf8")).toBe("kept");
    });
    test("need a new key and a parent that is there", async () => {
      await using room = await open();
      await room.snapshots.prepare("c", null);
      await expect(room.snapshots.prepare("c", null)).rejects.toMatchObject({ kind: "conflict" });
      const absent = digestOf("absent") as string as ChainId;
      await expect(room.snapshots.prepare("d", absent)).rejects.toMatchObject({ kind: "not-found" });
      expect(await room.snapshots.stat("d")).toBeNull();
      for (const call of ["mounts", "upperDirectory", "usage"] as const)
        await expect(room.snapshots[call]("d")).rejects.toMatchObject({ kind: "not-found" });
    });
  });

  describe(`${name}: removal`, () => {
    test("takes row and bytes, and may be asked for again", async () => {
      await using room = await open();
      const before = await room.files();
      const top = await importStack(room.snapshots, [await layer({ "a/": "", "a/b": "x" })]);
      await room.snapshots.prepare("c", top);
      writeFileSync(join(await room.snapshots.upperDirectory("c"), "x"), "x");
      await room.snapshots.remove("c");
      await room.snapshots.remove(top);
      await room.snapshots.remove(top);
      await room.snapshots.remove("never was");
      expect(await room.snapshots.list()).toEqual([]);
      expect(await room.files()).toEqual(before);
    });
    test("the row is gone before the call returns", async () => {
      await using room = await open();
      await room.snapshots.prepare("c", null);
      const removal = room.snapshots.remove("c");
      await room.snapshots.prepare("c", null);
      await removal;
      expect(await room.snapshots.upperDirectory("c")).toBeString();
      expect(readdirSync(await room.snapshots.upperDirectory("c"))).toEqual([]);
    });
    test("is refused while another snapshot lies on it", async () => {
      await using room = await open();
      const layers = [await layer({ a: "" }), await layer({ b: "" })];
      const top = await importStack(room.snapshots, layers);
      const base = chainIds(layers.map(({ diffId }) => diffId))[0] ?? top;
      await expect(room.snapshots.remove(base)).rejects.toMatchObject({ kind: "conflict" });
      await room.snapshots.prepare("c", top);
      await expect(room.snapshots.remove(top)).rejects.toMatchObject({ kind: "conflict" });
      expect(await room.snapshots.list()).toHaveLength(3);
    });
    test("many at once", async () => {
      await using room = await open();
      const top = await importStack(room.snapshots, [await layer({ a: "" })]);
      const keys = Array.from({ length: 50 }, (_, index) => `c${index}`);
      await Promise.all(keys.map((key) => room.snapshots.prepare(key, top)));
      await Promise.all(keys.map((key) => room.snapshots.remove(key)));
      expect((await room.snapshots.list()).map((info) => info.name)).toEqual([top]);
    });
  });
}
