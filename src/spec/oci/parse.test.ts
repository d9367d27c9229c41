import { describe, expect, test } from "bun:test";
import { isEngineError } from "#base/errors.ts";
import { chainIds, digestOf, parseDiffId, parseDigest } from "./digest.ts";
import { documentBytesMax, parseDockerArchive, parseImageConfig, parseIndex, parseManifest } from "./parse.ts";

const bytes = (value: unknown): Uint8Array => Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
const digest = digestOf("x");
const layer = { mediaType: "application/vnd.oci.image.layer.v1.tar", digest, size: 1 };

describe("manifests", () => {
  test("known fields come through, unknown ones stay out", () => {
    const manifest = parseManifest(bytes({ schemaVersion: 2, config: layer, layers: [layer], surprise: { a: 1 } }));
    expect(manifest).toEqual({ schemaVersion: 2, config: layer, layers: [layer] });
  });

  const bad: [value: unknown, message: string][] = [
    ["", "invalid manifest"],
    ["{", "invalid manifest"],
    ["\xff\xfe{}", "invalid manifest"],
    [[], "invalid manifest: document is not an object"],
    [null, "invalid manifest: document is not an object"],
    [{}, "invalid manifest: schemaVersion is not 2"],
    [{ schemaVersion: 1 }, "invalid manifest: schemaVersion is not 2"],
    [{ schemaVersion: 2 }, "invalid manifest: config is not an object"],
    [{ schemaVersion: 2, config: layer, layers: {} }, "invalid manifest: layers is not an array"],
    [
      { schemaVersion: 2, config: { ...layer, digest: "md5:1" }, layers: [] },
      "invalid manifest: config.digest is no sha256 digest",
    ],
    [
      { schemaVersion: 2, config: { ...layer, digest: "sha256:../../etc/passwd" }, layers: [] },
      "invalid manifest: config.digest is no sha256 digest",
    ],
    [
      { schemaVersion: 2, config: layer, layers: [{ ...layer, size: -1 }] },
      "invalid manifest: layers[0].size is no size",
    ],
    [
      { schemaVersion: 2, config: layer, layers: [{ ...layer, size: 1.5 }] },
      "invalid manifest: layers[0].size is no size",
    ],
    [
      { schemaVersion: 2, config: { ...layer, mediaType: 3 }, layers: [] },
      "invalid manifest: config.mediaType is not a string",
    ],
    [
      { schemaVersion: 2, config: { ...layer, annotations: { a: 1 } }, layers: [] },
      "invalid manifest: config.annotations.a is not a string",
    ],
  ];
  for (const [value, message] of bad) {
    test(message, () => expect(() => parseManifest(bytes(value))).toThrow(message));
  }

  test("a document past 4 MiB is not parsed", () => {
    expect(() => parseManifest(new Uint8Array(documentBytesMax + 1))).toThrow(`more than ${documentBytesMax}`);
  });
});

describe("indexes", () => {
  test("platforms and annotations are read", () => {
    const entry = {
      ...layer,
      platform: { os: "linux", architecture: "arm64", variant: "v8" },
      annotations: { "org.opencontainers.image.ref.name": "1" },
    };
    expect(parseIndex(bytes({ schemaVersion: 2, manifests: [entry] })).manifests).toEqual([entry]);
  });
  test("an index of something else is refused", () => {
    expect(() => parseIndex(bytes({ schemaVersion: 2, manifests: [5] }))).toThrow(
      "invalid index: manifests[0] is not an object",
    );
  });
});

describe("image configs", () => {
  const rootfs = { type: "layers", diff_ids: [digest] };

  test("nulls that Docker writes mean absent", () => {
    const config = parseImageConfig(
      bytes({
        os: "linux",
        architecture: "amd64",
        rootfs,
        config: { Cmd: null, Env: null, Labels: null },
        history: null,
      }),
    );
    expect(config.config).toEqual({});
    expect(config.history).toBeUndefined();
  });

  const bad: [value: object, message: string][] = [
    [{}, "rootfs is not an object"],
    [{ rootfs: { diff_ids: "x" } }, "rootfs.diff_ids is not an array"],
    [{ rootfs: { diff_ids: [1] } }, "rootfs.diff_ids holds something that is not a string"],
    [{ rootfs: { diff_ids: ["sha256:1"] } }, "invalid digest"],
    [{ rootfs, created: "yesterday" }, "created is no RFC 3339 time"],
    [{ rootfs, created: 12 }, "created is not a string"],
    [{ rootfs, config: [] }, "config is not an object"],
    [{ rootfs, config: { Cmd: "sh" } }, "config.Cmd is not an array"],
    [{ rootfs, config: { Env: [1] } }, "config.Env holds something that is not a string"],
    [{ rootfs, config: { User: 0 } }, "config.User is not a string"],
    [{ rootfs, config: { Volumes: ["/a"] } }, "config.Volumes is not an object"],
    [{ rootfs, config: { Labels: { a: 1 } } }, "config.Labels.a is not a string"],
    [{ rootfs, config: { Healthcheck: { Test: "x" } } }, "config.Healthcheck.Test is not an array"],
    [{ rootfs, config: { Healthcheck: { Interval: "1s" } } }, "config.Healthcheck.Interval is not a number"],
    [{ rootfs, history: [{ created: "x" }] }, "history[0].created is no RFC 3339 time"],
    [{ rootfs, history: [{ created_by: 1 }] }, "history[0].created_by is not a string"],
  ];
  for (const [value, message] of bad) {
    test(message, () => expect(() => parseImageConfig(bytes(value))).toThrow(message));
  }
});

describe("docker-archive listings", () => {
  test("null tags and layers are empty", () => {
    expect(parseDockerArchive(bytes([{ Config: "c.json", RepoTags: null, Layers: null }]))).toEqual([
      { config: "c.json", tags: [], layers: [] },
    ]);
  });
  for (const value of [{}, [null], [{}], [{ Config: "c", Layers: [1] }], [{ Config: "c", RepoTags: "x" }]]) {
    test(`${JSON.stringify(value)} is refused`, () => {
      expect(() => parseDockerArchive(bytes(value))).toThrow("invalid manifest.json: ");
    });
  }
});

test("any damage to a good document gives a document or an `invalid` error", () => {
  const good = JSON.stringify({
    schemaVersion: 2,
    config: layer,
    layers: [layer],
    manifests: [layer],
    rootfs: { diff_ids: [digest] },
    history: [{ created: "2026-01-01T00:00:00Z" }],
  });
  let state = 3;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const pieces = ["null", "[]", "{}", '""', "0", "-1e99", '"sha256:"', ",", "}", "\0"];
  for (let round = 0; round < 3000; round++) {
    const at = random(good.length);
    const damaged = good.slice(0, at) + (pieces[random(pieces.length)] ?? "") + good.slice(at + random(12));
    for (const parse of [parseManifest, parseIndex, parseImageConfig, parseDockerArchive]) {
      try {
        parse(bytes(damaged));
      } catch (error) {
        if (!isEngineError(error, "invalid")) throw error;
      }
    }
  }
});

test("digests and chain ids", () => {
  expect(() => parseDigest(`sha256:${"A".repeat(64)}`)).toThrow("want sha256: and 64 lowercase hex digits");
  const [a, b] = [parseDiffId(digestOf("a")), parseDiffId(digestOf("b"))];
  const [first, second] = chainIds([a, b]);
  expect(first as string).toBe(a);
  expect(second as string).toBe(digestOf(`${a} ${b}`));
  expect(chainIds([])).toEqual([]);
});
