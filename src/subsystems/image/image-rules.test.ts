import { describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { digestOf } from "#spec/oci/digest.ts";
import { chunksOf, dockerArchive, makeImage, openImageRoom, tarOf } from "#tests/fixtures/image-room.ts";
import { applyChanges } from "./changes.ts";
import { printingProgram } from "./elf.ts";
import { parsePattern } from "./glob.ts";

const base = await tarOf({ base: "b".repeat(2000) });
const top = await tarOf({ top: "t".repeat(3000) });
const older = makeImage([base], { created: "2024-01-01T00:00:00Z", config: { Labels: { tier: "back", kind: "x" } } });
const newer = makeImage([base, top], { created: "2025-06-01T00:00:00Z", config: { Labels: { tier: "front" } } });
const short = (id: string) => id.slice(7, 19);
const chainOf = (...layers: Uint8Array[]) => {
  const [first = base, ...rest] = layers;
  return rest.reduce<string>((chain, layer) => digestOf(`${chain} ${digestOf(layer)}`), digestOf(first));
};

async function roomWith(names: { older?: string[]; newer?: string[] }) {
  const room = await openImageRoom();
  await room.load(
    await dockerArchive([
      { image: older, names: names.older ?? [] },
      { image: newer, names: names.newer ?? [] },
    ]),
  );
  room.news.length = 0;
  return room;
}

describe("remove", () => {
  test("the last name takes the image with it, but not what another image needs", async () => {
    await using room = await roomWith({ older: ["old:1"], newer: ["new:1"] });
    expect(await room.images.remove("new:1")).toEqual([
      { Untagged: "new:1" },
      { Deleted: newer.id },
      { Deleted: chainOf(base, top) },
    ]);
    expect(await room.layers()).toEqual([chainOf(base)]);
    expect(await room.blobs()).toHaveLength(3);
    expect(
      await room.images
        .remove("old")
        .then(() => "gone")
        .catch((error: Error) => error.message),
    ).toBe("No such image: old:latest");
    await room.images.remove("old:1");
    expect([await room.layers(), await room.blobs()]).toEqual([[], []]);
    expect(room.news.map(({ action, id, name }) => [action, id, name])).toEqual([
      ["untag", newer.id, "new:1"],
      ["delete", newer.id, newer.id],
      ["untag", older.id, "old:1"],
      ["delete", older.id, older.id],
    ]);
  });

  test("one of two names is only untagged", async () => {
    await using room = await roomWith({ newer: ["new:1", "other:1"] });
    expect(await room.images.remove("new:1")).toEqual([{ Untagged: "new:1" }]);
    expect((await room.images.resolve("other:1")).id).toBe(newer.id);
  });

  test("by id: one name goes along, several want force", async () => {
    await using room = await roomWith({ older: ["old:1"], newer: ["a:1", "b:1"] });
    await expect(room.images.remove(short(newer.id))).rejects.toThrow(
      `conflict: unable to delete ${short(newer.id)} (must be forced) - image is referenced in multiple repositories`,
    );
    const gone = await room.images.remove(short(newer.id), { force: true });
    expect(gone.slice(0, 3)).toEqual([{ Untagged: "a:1" }, { Untagged: "b:1" }, { Deleted: newer.id }]);
    expect(await room.images.remove(older.id)).toContainEqual({ Untagged: "old:1" });
  });

  const container = `${"c0ffee".repeat(10)}beef`;
  test("a stopped container's image: refused by name and by id, forced by both; its layers go after the container", async () => {
    await using room = await roomWith({ newer: ["new:1"] });
    room.users.set(newer.id, [{ id: container, running: false }]);
    await room.snapshots.prepare(container, (await room.images.resolve("new:1")).chain);
    await expect(room.images.remove("new:1")).rejects.toThrow(
      `conflict: unable to remove repository reference "new:1" (must force) - container ${container.slice(0, 12)} is using its referenced image ${short(newer.id)}`,
    );
    await expect(room.images.remove(newer.id)).rejects.toThrow(
      `conflict: unable to delete ${short(newer.id)} (must be forced) - image is being used by stopped container ${container.slice(0, 12)}`,
    );
    await room.images.remove("new:1", { force: true });
    await room.images.remove(older.id);
    expect(await room.layers()).toEqual([chainOf(base), chainOf(base, top)].sort());
    await room.snapshots.remove(container);
    await room.images.prune();
    expect(await room.layers()).toEqual([]);
  });

  test("a running container's image keeps its bytes whatever the force", async () => {
    await using room = await roomWith({ newer: ["new:1"] });
    room.users.set(newer.id, [{ id: container, running: true }]);
    await expect(room.images.remove(newer.id, { force: true })).rejects.toThrow(
      `conflict: unable to delete ${short(newer.id)} (cannot be forced) - image is being used by running container ${container.slice(0, 12)}`,
    );
    expect(await room.images.remove("new:1", { force: true })).toEqual([{ Untagged: "new:1" }]);
    expect((await room.images.list({ filters: { dangling: ["true"] } })).map(({ Id }) => Id)).toContain(newer.id);
  });
});

describe("look-up", () => {
  test("names, ids and their prefixes", async () => {
    await using room = await roomWith({ older: ["old:latest", "host:5000/a/b:2"] });
    for (const text of [
      "old",
      "docker.io/library/old",
      "host:5000/a/b:2",
      older.id,
      older.id.slice(7),
      short(older.id),
      `sha256:${short(older.id)}`,
    ])
      expect((await room.images.resolve(text)).id).toBe(older.id);
  });
  const misses: [string, string][] = [
    ["nope", "No such image: nope:latest"],
    ["nope:2", "No such image: nope:2"],
    ["docker.io/library/nope", "No such image: nope:latest"],
    ["0123456789ab", "No such image: 0123456789ab:latest"],
    ["ab".repeat(32), `No such image: sha256:${"ab".repeat(32)}`],
    [`sha256:${"ab".repeat(32)}`, `No such image: sha256:${"ab".repeat(32)}`],
    ["UP", "repository name (library/UP) must be lowercase"],
    ["a b", "invalid reference format"],
    ["", "invalid reference format"],
  ];
  for (const [text, message] of misses) {
    test(JSON.stringify(text.slice(0, 30)), async () => {
      await using room = await openImageRoom();
      await expect(room.images.resolve(text)).rejects.toThrow(message);
    });
  }
});

describe("list and prune", () => {
  const cases: [filters: Record<string, string[]>, found: string[]][] = [
    [{}, ["new:1", "old:1 two/old:1"]],
    [{ dangling: ["true"] }, []],
    [{ dangling: ["false"] }, ["new:1", "old:1 two/old:1"]],
    [{ label: ["tier"] }, ["new:1", "old:1 two/old:1"]],
    [{ label: ["tier=front"] }, ["new:1"]],
    [{ label: ["tier", "kind=x"] }, ["old:1 two/old:1"]],
    [{ label: ["toString"] }, []],
    [{ before: ["new:1"] }, ["old:1 two/old:1"]],
    [{ since: ["old:1"] }, ["new:1"]],
    [{ until: ["2025-01-01T00:00:00Z"] }, ["old:1 two/old:1"]],
    [{ reference: ["old"] }, ["old:1"]],
    [{ reference: ["*/*"] }, ["two/old:1"]],
    [{ reference: ["new:*", "two/[a-z]?d"] }, ["new:1", "two/old:1"]],
  ];
  for (const [filters, found] of cases) {
    test(JSON.stringify(filters), async () => {
      await using room = await roomWith({ older: ["old:1", "two/old:1"], newer: ["new:1"] });
      expect((await room.images.list({ filters })).map(({ RepoTags }) => RepoTags.join(" "))).toEqual(found);
    });
  }
  for (const [filters, message] of [
    [{ colour: ["red"] }, "invalid filter 'colour'"],
    [{ constructor: ["x"] }, "invalid filter 'constructor'"],
    [{ dangling: ["maybe"] }, "invalid filter 'dangling=[maybe]'"],
    [{ before: ["nope"] }, "No such image: nope:latest"],
    [{ reference: ["["] }, "syntax error in pattern"],
  ] as [Record<string, string[]>, string][]) {
    test(`${JSON.stringify(filters)} is refused`, async () => {
      await using room = await openImageRoom();
      await expect(room.images.list({ filters })).rejects.toThrow(message);
    });
  }

  test("sizes, shared and own", async () => {
    await using room = await roomWith({ older: ["old:1"], newer: ["new:1"] });
    const [first, second] = await room.images.list({ sharedSize: true });
    expect([first?.Size, first?.SharedSize, second?.Size, second?.SharedSize]).toEqual([5000, 2000, 2000, 2000]);
    expect((await room.images.list())[0]?.SharedSize).toBe(-1);
  });

  test("prune takes images without a name, with dangling=false all unused ones; used ones stay", async () => {
    await using room = await roomWith({ newer: ["new:1"] });
    const { deleted, spaceReclaimed } = await room.images.prune();
    expect(deleted).toEqual([{ Deleted: older.id }]);
    expect(spaceReclaimed).toBeGreaterThan(0);
    expect((await room.images.prune()).deleted).toEqual([]);
    room.users.set(newer.id, [{ id: "c", running: false }]);
    expect((await room.images.prune({ dangling: ["false"] })).deleted).toEqual([]);
    room.users.clear();
    expect((await room.images.prune({ dangling: ["false"], label: ["tier=back"] })).deleted).toEqual([]);
    expect((await room.images.prune({ dangling: ["false"] })).deleted).toContainEqual({ Deleted: newer.id });
    expect(await room.blobs()).toEqual([]);
  });
});

describe("tag, inspect, history", () => {
  test("a tag is a further name; bad ones are refused", async () => {
    await using room = await roomWith({ older: ["old:1"] });
    await room.images.tag("old:1", "host:5000/x", "2");
    await room.images.tag("old:1", "y", "");
    expect((await room.images.inspect(older.id)).RepoTags).toEqual(["host:5000/x:2", "old:1", "y:latest"]);
    for (const [repository, tag, message] of [
      ["UP", "1", "must be lowercase"],
      ["x", "a/b", "invalid tag format"],
      [`x@${older.id}`, "", "refusing to create a tag with a digest reference"],
      ["", "", "invalid reference format"],
    ] as const)
      await expect(room.images.tag("old:1", repository, tag)).rejects.toThrow(message);
    await expect(room.images.tag("nope", "x", "1")).rejects.toThrow("No such image: nope:latest");
  });

  test("inspect tells what the config says", async () => {
    await using room = await roomWith({ newer: ["new:1"] });
    expect(await room.images.inspect("new:1")).toMatchObject({
      Id: newer.id,
      RepoTags: ["new:1"],
      Created: "2025-06-01T00:00:00Z",
      Size: 5000,
      RootFS: { Type: "layers", Layers: [digestOf(base), digestOf(top)] },
    });
  });

  test("history from the top, empty layers without size", async () => {
    await using room = await openImageRoom();
    const created = "2025-01-01T00:00:00Z";
    const image = makeImage([base, top], {
      history: [
        { created, created_by: "one" },
        { created_by: "ENV", empty_layer: true },
        { created_by: "two", comment: "c" },
      ],
    });
    await room.load(await dockerArchive([{ image, names: ["h:1"] }]));
    const rows = await room.images.history("h:1");
    expect(rows.map(({ Id, CreatedBy, Size, Tags, Comment }) => [Id, CreatedBy, Size, Tags, Comment])).toEqual([
      [image.id, "two", 3000, ["h:1"], "c"],
      ["<missing>", "ENV", 0, null, ""],
      ["<missing>", "one", 2000, null, ""],
    ]);
    expect(rows[2]?.Created).toBe(Date.parse(created) / 1000);
  });
});

describe("import", () => {
  test("a root file system with changes", async () => {
    await using room = await openImageRoom();
    const id = await room.images.import(chunksOf(gzipSync(base)), {
      repository: "flat",
      tag: "1",
      message: "mine",
      changes: ['CMD ["/x"]', "ENV a=1 b='2 3'", "EXPOSE 80 53/udp"],
    });
    const { config, id: found } = await room.images.resolve("flat:1");
    expect(found).toBe(id);
    expect(config.config).toEqual({ Cmd: ["/x"], Env: ["a=1", "b=2 3"], ExposedPorts: { "80/tcp": {}, "53/udp": {} } });
    expect(config.rootfs.diff_ids as readonly string[]).toEqual([digestOf(base)]);
    expect(config.history?.[0]?.comment).toBe("mine");
    expect(room.news.map(({ action }) => action)).toEqual(["import"]);
  });

  test("what is no tar, or has a bad change or name, leaves nothing", async () => {
    await using room = await openImageRoom();
    for (const [bytes, options, message] of [
      [Buffer.from("x".repeat(2000)), {}, "archive/tar"],
      [base.subarray(0, 700), {}, "unexpected EOF"],
      [base, { changes: ["RUN x"] }, "RUN is not a valid change command"],
      [base, { repository: "BAD" }, "must be lowercase"],
    ] as const)
      await expect(room.images.import(chunksOf(bytes), options)).rejects.toThrow(message);
    expect([await room.layers(), await room.blobs(), await room.images.list()]).toEqual([[], [], []]);
  });

  const changes: [change: string, config: object][] = [
    ["CMD echo hi", { Cmd: ["/bin/sh", "-c", "echo hi"] }],
    ['ENTRYPOINT ["a", "b"]', { Entrypoint: ["a", "b"] }],
    ["env key some words", { Env: ["key=some words"] }],
    ['LABEL a="b c" d=e', { Labels: { a: "b c", d: "e" } }],
    ["EXPOSE 8000-8002", { ExposedPorts: { "8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {} } }],
    ["USER app:app", { User: "app:app" }],
    ['VOLUME ["/a", "/b"]', { Volumes: { "/a": {}, "/b": {} } }],
    ["VOLUME /a /b", { Volumes: { "/a": {}, "/b": {} } }],
    ["WORKDIR a/../b", { WorkingDir: "/b" }],
    ["STOPSIGNAL SIGINT", { StopSignal: "SIGINT" }],
    ["ONBUILD RUN x", { OnBuild: ["RUN x"] }],
    ["HEALTHCHECK NONE", { Healthcheck: { Test: ["NONE"] } }],
    [
      "HEALTHCHECK --interval=5s --retries=2 CMD curl -f x",
      { Healthcheck: { Test: ["CMD-SHELL", "curl -f x"], Interval: 5e9, Retries: 2 } },
    ],
    ['HEALTHCHECK CMD ["a"]', { Healthcheck: { Test: ["CMD", "a"] } }],
  ];
  for (const [change, config] of changes) test(change, () => expect(applyChanges({}, [change])).toEqual(config));
  for (const change of [
    "",
    "CMD",
    "CMD [1]",
    "EXPOSE 0",
    "EXPOSE 70000",
    "EXPOSE x",
    "ENV a",
    "HEALTHCHECK",
    "HEALTHCHECK --x=1 CMD a",
  ])
    test(`${JSON.stringify(change)} is refused`, () => expect(() => applyChanges({}, [change])).toThrow());
});

describe("hello-world", () => {
  test("is put in once, keeps its bytes, and its program prints and ends", async () => {
    await using room = await openImageRoom();
    const [first, second] = await Promise.all([room.images.ensureHelloWorld(), room.images.ensureHelloWorld()]);
    expect(second).toEqual(first);
    await using other = await openImageRoom();
    expect((await other.images.ensureHelloWorld()).id).toBe(first.id);
    const { chain, config } = first;
    expect(config.config?.Cmd).toEqual(["/hello"]);
    const number = room.metadata
      .query<{ number: number }>("SELECT number FROM snapshot WHERE name = ?")
      .get(chain ?? "");
    const run = Bun.spawnSync([`${room.root}/snapshots/${number?.number}/fs/hello`]);
    expect(run.exitCode).toBe(0);
    expect(run.stdout.toString()).toStartWith(
      "\nHello from Skiff!\nThis message shows that your installation appears to be working correctly.\n",
    );
    expect(run.stdout.toString()).toContain("skiff run -it");
  });

  test("programs for both machines are well-formed; others have none", () => {
    for (const [architecture, machine] of [
      ["x64", 62],
      ["arm64", 183],
    ] as const) {
      const program = Buffer.from(printingProgram("hi\n", architecture) ?? []);
      expect(program.readUInt16LE(18)).toBe(machine);
      expect(program.readBigUInt64LE(96)).toBe(BigInt(program.byteLength));
      expect(program.toString("latin1")).toEndWith("hi\n");
    }
    // The words an assembler gives for aarch64: mov x0,1; the address; mov x2,3; write; exit(0).
    const code = Buffer.from(printingProgram("hi\n", "arm64") ?? []).subarray(120);
    const words = Array.from({ length: 9 }, (_, index) => code.readUInt32LE(index * 4).toString(16));
    expect(words).toEqual([
      "d2800020",
      "d2801381",
      "f2a00801",
      "d2800062",
      "d2800808",
      "d4000001",
      "d2800000",
      "d2800ba8",
      "d4000001",
    ]);
    expect(printingProgram("hi", "mips")).toBeNull();
  });
});

test("patterns, as Go's path.Match reads them", () => {
  const cases: [pattern: string, text: string, fits: boolean][] = [
    ["abc", "abc", true],
    ["*", "abc", true],
    ["*", "a/b", false],
    ["*/*", "a/b", true],
    ["a*c*e", "abcde", true],
    ["a*c", "abcd", false],
    ["?b?", "abc", true],
    ["[a-c]x", "bx", true],
    ["[^a-c]x", "bx", false],
    ["\\*", "*", true],
    ["\\*", "a", false],
    ["", "", true],
    ["**", "", true],
  ];
  for (const [pattern, text, fits] of cases)
    expect([pattern, text, parsePattern(pattern)(text)]).toEqual([pattern, text, fits]);
  for (const bad of ["[", "[]", "[a-]", "[a", "\\", "[-]"]) expect(() => parsePattern(bad)).toThrow("syntax error");
  const started = performance.now();
  expect(parsePattern(`${"*a".repeat(100)}b`)("a".repeat(255))).toBe(false);
  expect(performance.now() - started).toBeLessThan(200);
});
