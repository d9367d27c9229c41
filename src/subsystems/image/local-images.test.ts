import { describe, expect, test } from "bun:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { digestOf } from "#spec/oci/digest.ts";
import { mediaTypes } from "#spec/oci/image.ts";
import { hostPlatform } from "#spec/oci/parse.ts";
import {
  chunksOf,
  dockerArchive,
  makeImage,
  OciLayoutFiles,
  openImageRoom,
  tarOf,
} from "#tests/fixtures/image-room.ts";

const base = await tarOf({ "etc/": { type: "directory" }, "etc/os": "skiff\n" });
const extra = await tarOf({ extra: "x".repeat(5000) });
const app = makeImage([base, extra], { config: { Cmd: ["/app"], Labels: { tier: "front" } } });
const plain = makeImage([base], { created: "2025-01-01T00:00:00Z" });

describe("load", () => {
  test("docker-archive with several images, one without a name", async () => {
    await using room = await openImageRoom();
    const archive = await dockerArchive([
      { image: app, names: ["app:1", "reg.io:5000/app:2"] },
      { image: plain, names: null },
    ]);
    expect(await room.load(archive)).toBe(
      `Loaded image: app:1\nLoaded image: reg.io:5000/app:2\nLoaded image ID: ${plain.id}\n`,
    );
    expect((await room.images.resolve("app:1")).id).toBe(app.id);
    expect((await room.images.resolve(plain.id.slice(7, 19))).id).toBe(plain.id);
    // base, extra, two configs, two manifests; what only described the archive is gone
    expect(await room.blobs()).toHaveLength(6);
    expect(await room.layers()).toHaveLength(2);
    expect(room.news.map(({ action, name }) => `${action} ${name}`)).toEqual(["load app:1", `load ${plain.id}`]);
  });

  for (const [kind, encode] of [
    ["gzip", gzipSync],
    ["zstd", zstdCompressSync],
  ] as const) {
    test(`an archive compressed with ${kind}`, async () => {
      await using room = await openImageRoom();
      const archive = encode(await dockerArchive([{ image: plain, names: ["a:1"] }]));
      expect(await room.load(archive)).toBe("Loaded image: a:1\n");
    });

    test(`an OCI layout whose layers are compressed with ${kind}; bytes stay as they came`, async () => {
      await using room = await openImageRoom();
      const layout = new OciLayoutFiles();
      const manifest = layout.image(app, `${mediaTypes.ociLayer}+${kind}`, (layer) => encode(layer));
      const named = { ...manifest, annotations: { "org.opencontainers.image.ref.name": "app:oci" } };
      expect(await room.load(await layout.tar([named]))).toBe("Loaded image: app:oci\n");
      expect((await room.images.resolve(`app@${manifest.digest}`)).id).toBe(app.id);
      expect(await room.blobs()).toContain(manifest.digest.slice(7));
      expect(await room.blobs()).toContain(digestOf(encode(base)).slice(7));
    });
  }

  test("a nested index gives this machine's image", async () => {
    await using room = await openImageRoom();
    const layout = new OciLayoutFiles();
    const foreign = { ...layout.image(plain), platform: { os: "linux", architecture: "sparc" } };
    const own = { ...layout.image(app), platform: hostPlatform() };
    const index = layout.index([foreign, own]);
    const named = { ...index, annotations: { "io.containerd.image.name": "docker.io/library/multi:1" } };
    expect(await room.load(await layout.tar([named]))).toBe("Loaded image: multi:1\n");
    expect((await room.images.resolve("multi:1")).id).toBe(app.id);
  });

  test("of one name listed for several platforms this machine's is taken, and attestations are none", async () => {
    await using room = await openImageRoom();
    const layout = new OciLayoutFiles();
    const annotations = { "io.containerd.image.name": "docker.io/library/multi:1" };
    const list = [
      { ...layout.image(app), platform: hostPlatform(), annotations },
      { ...layout.image(plain), platform: { os: "linux", architecture: "sparc" }, annotations },
      {
        ...layout.json({ some: "statement" }, mediaTypes.ociManifest),
        platform: { os: "unknown", architecture: "unknown" },
      },
    ];
    expect(await room.load(await layout.tar(list))).toBe("Loaded image: multi:1\n");
    expect((await room.images.list()).map(({ Id }) => Id)).toEqual([app.id]);
  });

  test("an index without this machine's platform is refused", async () => {
    await using room = await openImageRoom();
    const layout = new OciLayoutFiles();
    const index = layout.index([{ ...layout.image(plain), platform: { os: "linux", architecture: "sparc" } }]);
    await expect(room.load(await layout.tar([index]))).rejects.toThrow("no matching manifest for linux/");
  });

  test("old archives link equal layers to each other", async () => {
    await using room = await openImageRoom();
    const image = makeImage([base, base]);
    const archive = await tarOf({
      "./one/layer.tar": base,
      "two/layer.tar": { type: "symlink", linkName: "../one/layer.tar" },
      "config.json": image.config,
      "manifest.json": JSON.stringify([
        { Config: "config.json", RepoTags: ["twice:1"], Layers: ["one/layer.tar", "two/layer.tar"] },
      ]),
    });
    expect(await room.load(archive)).toBe("Loaded image: twice:1\n");
  });

  test("a name that moves leaves the old image without one", async () => {
    await using room = await openImageRoom();
    await room.load(await dockerArchive([{ image: plain, names: ["a:1"] }]));
    expect(await room.load(await dockerArchive([{ image: app, names: ["a:1"] }]))).toBe(
      `The image a:1 already exists, renaming the old one with ID ${plain.id} to empty string\nLoaded image: a:1\n`,
    );
    const dangling = await room.images.list({ filters: { dangling: ["true"] } });
    expect(dangling.map(({ Id, RepoTags }) => [Id, RepoTags])).toEqual([[plain.id, []]]);
  });

  test("the same image loaded eight times at once", async () => {
    await using room = await openImageRoom();
    const archive = await dockerArchive([{ image: app, names: ["a:1"] }]);
    await Promise.all(Array.from({ length: 8 }, () => room.load(archive)));
    expect(await room.blobs()).toHaveLength(4);
    expect(await room.layers()).toHaveLength(2);
  });

  test("loads, failures and removals at once leave whole images only", async () => {
    await using room = await openImageRoom();
    const good = await dockerArchive([{ image: app, names: ["a:1"] }]);
    const cut = good.subarray(0, good.byteLength - 3000);
    await Promise.all(
      Array.from({ length: 24 }, async (_, index) => {
        if (index % 3 === 0) await room.load(good);
        else if (index % 3 === 1) await expect(room.load(chunksOf(cut, 700))).rejects.toThrow();
        else await room.images.remove("a:1", { force: true }).catch(() => {});
      }),
    );
    await room.load(good);
    const saved = await room.save("a:1");
    await room.images.remove("a:1");
    expect(await room.blobs()).toEqual([]);
    expect(await room.layers()).toEqual([]);
    expect(await room.load(saved)).toBe("Loaded image: a:1\n");
  });
});

describe("save", () => {
  test("the same bytes every time, shared layers once, and loadable", async () => {
    await using room = await openImageRoom();
    await room.load(
      await dockerArchive([
        { image: app, names: ["app:1", "app:2"] },
        { image: plain, names: ["plain:1"] },
      ]),
    );
    const saved = await room.save("app", "plain:1");
    expect(await room.save("app", "plain:1")).toEqual(saved);
    expect(saved.toString("latin1").split("x".repeat(5000))).toHaveLength(2);
    await using other = await openImageRoom();
    expect(await other.load(saved)).toBe("Loaded image: app:1\nLoaded image: app:2\nLoaded image: plain:1\n");
    expect(await other.save("app", "plain:1")).toEqual(saved);
  });

  test("an id saves no name", async () => {
    await using room = await openImageRoom();
    await room.load(await dockerArchive([{ image: plain, names: ["plain:1"] }]));
    await using other = await openImageRoom();
    expect(await other.load(await room.save(plain.id.slice(7, 20)))).toBe(`Loaded image ID: ${plain.id}\n`);
  });

  test("an image removed while it is saved comes out whole, and is gone after", async () => {
    await using room = await openImageRoom();
    await room.load(await dockerArchive([{ image: app, names: ["app:1"] }]));
    const stream = room.images.save(["app:1"])[Symbol.asyncIterator]();
    const parts = [(await stream.next()).value as Uint8Array];
    await room.images.remove("app:1");
    for (let next = await stream.next(); next.done !== true; next = await stream.next()) parts.push(next.value);
    await using other = await openImageRoom();
    expect(await other.load(Buffer.concat(parts))).toBe("Loaded image: app:1\n");
    expect(await room.blobs()).toEqual([]);
  });

  test("a reader that goes away lets go of the blobs", async () => {
    await using room = await openImageRoom();
    await room.load(await dockerArchive([{ image: app, names: ["app:1"] }]));
    for await (const _ of room.images.save(["app:1"])) break;
    await room.images.remove("app:1");
    expect(await room.blobs()).toEqual([]);
  });

  test("an unknown name", async () => {
    await using room = await openImageRoom();
    await expect(room.save("nope")).rejects.toThrow("No such image: nope:latest");
  });
});

describe("restart", () => {
  test("what a crash left is removed, what is known stays", async () => {
    await using room = await openImageRoom();
    await room.load(await dockerArchive([{ image: app, names: ["app:1"] }]));
    const before = [await room.blobs(), await room.layers()];
    await room.content.ingest(chunksOf(Buffer.from("half a load")));
    const diffId = digestOf(extra) as never;
    await room.snapshots.importLayer({ chain: diffId, parent: null, diffId, tar: chunksOf(extra) });
    await using again = await openImageRoom(room.root);
    expect([await again.blobs(), await again.layers()]).toEqual(before);
    expect((await again.images.resolve("app:1")).config.config?.Cmd).toEqual(["/app"]);
  });

  test("an image whose config is damaged goes, the others stay", async () => {
    await using room = await openImageRoom();
    await room.load(
      await dockerArchive([
        { image: app, names: ["app:1"] },
        { image: plain, names: ["plain:1"] },
      ]),
    );
    await room.content.remove(app.id);
    await using again = await openImageRoom(room.root);
    expect((await again.images.list()).map(({ RepoTags }) => RepoTags)).toEqual([["plain:1"]]);
    expect(await again.layers()).toHaveLength(1);
  });
});

test("resolving is fast", async () => {
  await using room = await openImageRoom();
  await room.load(await dockerArchive([{ image: app, names: ["app:1"] }]));
  const started = performance.now();
  for (let round = 0; round < 200; round++) await room.images.resolve("app:1");
  expect((performance.now() - started) / 200).toBeLessThan(1);
});
