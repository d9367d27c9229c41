/** What we save, others read; what others save, we read: skopeo, a real dockerd, and the OCI image schemas. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Ajv, { type ValidateFunction } from "ajv";
import { readTar } from "#spec/tar/read.ts";
import { chunksOf, collect, type ImageRoom, openImageRoom } from "#tests/fixtures/image-room.ts";
import { canMakeImages, testImages } from "#tests/fixtures/images.ts";

const names = ["busybox:test", "web:test", "vol:test"];
const has = (program: string) => Bun.which(program) !== null;

let directory = "";
let room: ImageRoom;
let saved = "";
const ids = new Map<string, string>();

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "skiff-archives-"));
  room = await openImageRoom();
  if (!canMakeImages) return;
  await room.load(Bun.file(await testImages()).stream());
  for (const name of names) ids.set(name, (await room.images.resolve(name)).id);
  saved = join(directory, "saved.tar");
  await Bun.write(saved, await room.save(...names));
});

afterAll(async () => {
  await room[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

/** Runs a program to its end. @throws Error with what it said, when it fails */
async function run(...command: string[]): Promise<string> {
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "pipe" });
  const [output, complaint, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${command.join(" ")}: ${code}: ${complaint}`);
  return output;
}

/** Loads a file into a fresh store. @returns Docker's lines, and the id of `name` */
async function loaded(path: string, name: string): Promise<{ text: string; id: string }> {
  await using other = await openImageRoom();
  const text = await other.load(Bun.file(path).stream());
  return { text, id: (await other.images.resolve(name)).id };
}

describe.skipIf(!canMakeImages || !has("skopeo"))("skopeo", () => {
  const skopeo = (...words: string[]) => run("skopeo", "--insecure-policy", ...words);
  for (const name of names) {
    test(`reads ${name} from what we save, as docker-archive`, async () => {
      const config = await skopeo("inspect", "--config", "--raw", `docker-archive:${saved}:${name}`);
      expect(JSON.parse(config)).toMatchObject({ os: "linux", rootfs: { type: "layers" } });
      const target = join(directory, `${name.replace(":", "-")}.oci`);
      await skopeo("copy", `docker-archive:${saved}:${name}`, `oci-archive:${target}:${name}`);
      expect((await loaded(target, name)).text).toBe(`Loaded image: ${name}\n`);
    });
  }

  test("reads it as OCI layout, and what it writes in every form comes back as the same image", async () => {
    const one = join(directory, "one.tar");
    await Bun.write(one, await room.save("web:test"));
    const forms = [
      [`docker-archive:${join(directory, "d.tar")}:web:test`, []],
      [`oci-archive:${join(directory, "g.tar")}:web:test`, ["--dest-compress", "--dest-compress-format", "gzip"]],
      [`oci-archive:${join(directory, "z.tar")}:web:test`, ["--dest-compress", "--dest-compress-format", "zstd"]],
    ] as const;
    for (const [target, flags] of forms) {
      await skopeo("copy", "--preserve-digests=false", ...flags, `oci-archive:${one}:test`, target);
      const path = target.split(":")[1] ?? "";
      const { text, id } = await loaded(path, "web:test");
      expect([target, text, id]).toEqual([target, "Loaded image: web:test\n", ids.get("web:test") ?? ""]);
    }
  });
});

describe.skipIf(!canMakeImages || !has("dockerd") || !has("docker"))("a real dockerd", () => {
  let daemon: ReturnType<typeof Bun.spawn> | null = null;
  let host = "";
  const docker = (...words: string[]) => run("docker", "-H", host, ...words);

  beforeAll(async () => {
    const home = join(directory, "dockerd");
    host = `unix://${home}.sock`;
    daemon = Bun.spawn(
      [
        "dockerd",
        `--data-root=${home}/root`,
        `--exec-root=${home}/run`,
        `--pidfile=${home}.pid`,
        `--host=${host}`,
        "--bridge=none",
        "--iptables=false",
      ],
      { stdout: "ignore", stderr: Bun.file(`${home}.log`) },
    );
    for (let attempt = 0; attempt < 150; attempt++) {
      if (
        await docker("version").then(
          () => true,
          () => false,
        )
      )
        return;
      await Bun.sleep(200);
    }
    throw new Error(`dockerd does not answer: ${readFileSync(`${home}.log`, "utf8").slice(-2000)}`);
  }, 60_000);

  afterAll(async () => {
    daemon?.kill("SIGTERM");
    await daemon?.exited;
  }, 60_000);

  test("loads what we save under the same ids, and we load what it saves", async () => {
    const text = await docker("load", "-i", saved);
    for (const name of names) {
      expect(text).toContain(`Loaded image: ${name}`);
      expect((await docker("image", "inspect", "-f", "{{.Id}}", name)).trim()).toBe(ids.get(name) ?? "");
    }
    const back = join(directory, "from-docker.tar");
    await docker("save", "-o", back, ...names);
    for (const name of names) expect((await loaded(back, name)).id).toBe(ids.get(name) ?? "");
  }, 60_000);

  test("history and sizes agree", async () => {
    const theirs = JSON.parse(await docker("image", "inspect", "web:test"))[0] as { Size: number; RootFS: object };
    const ours = await room.images.inspect("web:test");
    expect(ours.RootFS).toEqual(theirs.RootFS as typeof ours.RootFS);
    const rows = (await docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", "web:test")).trim().split("\n");
    expect((await room.images.history("web:test")).map(({ CreatedBy }) => CreatedBy)).toEqual(rows);
    expect(Math.abs(ours.Size - theirs.Size)).toBeLessThan(theirs.Size / 50);
  }, 30_000);

  test("refuses removals in the same words", async () => {
    const complaint = async (work: Promise<unknown>) =>
      work.then(
        () => "no complaint",
        (error: Error) =>
          /(?:Error response from daemon: )?((?:conflict: |No such image|invalid ref).*)/.exec(error.message)?.[1] ??
          error.message,
      );
    await docker("tag", "busybox:test", "second:1");
    await room.images.tag("busybox:test", "second", "1");
    const container = (await docker("create", "vol:test")).trim();
    room.users.set(ids.get("vol:test") ?? "", [{ id: container, running: false }]);
    for (const name of [ids.get("busybox:test") ?? "", "vol:test", ids.get("vol:test") ?? "", "nope", "no/pe:1"]) {
      const theirs = await complaint(docker("rmi", name));
      expect([name, await complaint(room.images.remove(name))]).toEqual([name, theirs]);
    }
    room.users.clear();
    await docker("rm", container);
  }, 30_000);
});

describe("the OCI image schemas", () => {
  const schemas = join(import.meta.dir, "../../../shared/spec/oci-image");
  const present = existsSync(schemas) && canMakeImages;
  if (!present) console.warn("no OCI image schemas beside the repository, or no busybox: validation is skipped");

  /** Draft 4 names schemas by `id`, which Ajv does not take: they are named by their files instead. */
  const read = (file: string) =>
    JSON.parse(readFileSync(join(schemas, file), "utf8"), (key, value: unknown) =>
      (key === "id" || key === "$schema") && typeof value === "string" ? undefined : value,
    ) as object;

  function validator(name: string): ValidateFunction {
    const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
    for (const file of ["defs.json", "defs-descriptor.json", "content-descriptor.json"])
      ajv.addSchema(read(file), file);
    return ajv.compile(read(name));
  }

  test.skipIf(!present)("index, manifests, configs and layout of what we save", async () => {
    const files = new Map<string, Buffer>();
    for await (const { entry, body } of readTar(Bun.file(saved).stream()))
      if (entry.type === "file" && entry.sizeBytes < 1 << 20) files.set(entry.name, await collect(body));
    const json = (name: string) => JSON.parse(files.get(name)?.toString() ?? "null") as unknown;
    const check = (schema: string, value: unknown) => {
      const validate = validator(schema);
      expect([validate(value), validate.errors ?? []]).toEqual([true, []]);
    };
    check("image-layout-schema.json", json("oci-layout"));
    check("image-index-schema.json", json("index.json"));
    const index = json("index.json") as { manifests: { digest: string }[] };
    expect(index.manifests).toHaveLength(names.length);
    for (const { digest } of index.manifests) {
      const manifest = json(`blobs/sha256/${digest.slice(7)}`) as { config: { digest: string } };
      check("image-manifest-schema.json", manifest);
      check("config-schema.json", json(`blobs/sha256/${manifest.config.digest.slice(7)}`));
    }
  });

  test.skipIf(!present)("refuse what is wrong, so that the test above means something", () => {
    expect(validator("image-manifest-schema.json")({ schemaVersion: 2 })).toBe(false);
    expect(validator("image-index-schema.json")({ schemaVersion: 2, manifests: [{ digest: 1 }] })).toBe(false);
  });
});

test.skipIf(!canMakeImages)("the test images are the same however their archive arrives", async () => {
  const bytes = Buffer.from(await Bun.file(await testImages()).arrayBuffer());
  await using other = await openImageRoom();
  await other.load(chunksOf(bytes, 4097));
  for (const name of names) expect((await other.images.resolve(name)).id as string).toBe(ids.get(name) ?? "");
});
