import { describe, expect, test } from "bun:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { digestOf } from "#spec/oci/digest.ts";
import { hostPlatform } from "#spec/oci/parse.ts";
import { dockerArchive, makeImage, OciLayoutFiles, openImageRoom, tarOf } from "#tests/fixtures/image-room.ts";

const base = await tarOf({ "etc/": { type: "directory" }, "etc/os": "skiff\n" });
const extra = await tarOf({ extra: "x".repeat(5000) });
const app = makeImage([base, extra]);
const good = await dockerArchive([{ image: app, names: ["a:1"] }]);

describe("bad archives are refused and leave nothing", () => {
  const listing = async (value: unknown) => tarOf({ c: app.config, l: base, "manifest.json": JSON.stringify(value) });
  const layout = async (change: (layout: OciLayoutFiles) => Promise<Buffer>) => change(new OciLayoutFiles());
  const swapped = makeImage([extra, base]);
  const cases: [what: string, archive: Uint8Array | (() => Promise<Uint8Array>), message: string][] = [
    ["nothing", new Uint8Array(0), "neither manifest.json nor index.json"],
    ["text", Buffer.from("this is no archive\n".repeat(100)), "archive/tar: invalid"],
    ["less than a block", Buffer.from("short"), "unexpected EOF"],
    ["a tar of something else", () => tarOf({ readme: "hello" }), "neither manifest.json nor index.json"],
    ["cut in a layer", good.subarray(0, 4000), "unexpected EOF"],
    ["cut gzip", gzipSync(good).subarray(0, 200), "unexpected EOF"],
    ["cut zstd", zstdCompressSync(good).subarray(0, 200), "unexpected EOF"],
    ["damaged gzip", Buffer.concat([gzipSync(good).subarray(0, -8), Buffer.alloc(8, 7)]), "gzip: incorrect"],
    ["a listing that is no array", () => listing({}), "invalid manifest.json: document is not an array"],
    ["a listing without config", () => listing([{}]), "invalid manifest.json: [0].Config is missing"],
    ["a file that is not there", () => listing([{ Config: "../../etc/passwd" }]), "the archive has no file"],
    [
      "fewer layers than diff IDs",
      () => listing([{ Config: "c", Layers: ["l"] }]),
      "config has 2 layers, archive has 1",
    ],
    ["a config that is a layer", () => listing([{ Config: "l", Layers: [] }]), "invalid image config"],
    ["a malformed name", () => dockerArchive([{ image: app, names: ["a:1", "UPPER:1"] }]), "must be lowercase"],
    [
      "layers in another order than the config says",
      () =>
        tarOf({
          c: swapped.config,
          b: base,
          e: extra,
          "manifest.json": JSON.stringify([{ Config: "c", RepoTags: ["a:1"], Layers: ["b", "e"] }]),
        }),
      "layer has diff ID",
    ],
    [
      "a second image that is bad",
      () =>
        dockerArchive([
          { image: app, names: ["a:1"] },
          { image: makeImage([Buffer.from("no tar")]), names: ["b:1"] },
        ]),
      "unexpected EOF",
    ],
    [
      "a blob whose bytes are not its name's",
      () =>
        layout(async (files) => {
          const manifest = files.image(app);
          files.files[`blobs/sha256/${digestOf(base).slice(7)}`] = Buffer.alloc(base.byteLength);
          return files.tar([manifest]);
        }),
      `blob ${digestOf(base)} came with`,
    ],
    [
      "a layout that lacks a layer",
      () =>
        layout(async (files) => {
          const manifest = files.image(app);
          delete files.files[`blobs/sha256/${digestOf(extra).slice(7)}`];
          return files.tar([manifest]);
        }),
      `the archive has no blob ${digestOf(extra)}`,
    ],
    [
      "a descriptor of another size",
      () => layout((files) => files.tar([{ ...files.image(app), size: 3 }])),
      "its descriptor says 3",
    ],
    [
      "indexes within indexes",
      () =>
        layout((files) => {
          let top = { ...files.image(app), platform: hostPlatform() };
          for (let depth = 0; depth < 6; depth++) top = { ...files.index([top]), platform: hostPlatform() };
          return files.tar([top]);
        }),
      "nested too deeply",
    ],
  ];
  for (const [what, archive, message] of cases) {
    test(what, async () => {
      await using room = await openImageRoom();
      await expect(room.load(typeof archive === "function" ? await archive() : archive)).rejects.toThrow(message);
      expect(await room.images.list()).toEqual([]);
      expect(await room.blobs()).toEqual([]);
      expect(await room.layers()).toEqual([]);
      // and the room goes on
      expect(await room.load(good)).toBe("Loaded image: a:1\n");
    });
  }

  test("any cut of an archive: an error or a whole image", async () => {
    await using room = await openImageRoom();
    for (let size = 0; size < good.byteLength; size += 997) {
      const text = await room.load(good.subarray(0, size)).catch(() => "refused");
      if (text !== "refused") await room.images.remove("a:1");
      expect(await room.blobs()).toEqual([]);
      expect(await room.layers()).toEqual([]);
    }
  });
});
