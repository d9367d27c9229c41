import { describe, expect, test } from "bun:test";
import { EngineError } from "#base/errors.ts";
import { readTar } from "./read.ts";
import { type TarEntry, tarEntry } from "./tar.ts";
import { encodeTarHeader, tarEnd, writeTar } from "./write.ts";

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.byteLength; offset += size) yield bytes.subarray(offset, offset + size);
}

async function archive(...items: { entry: TarEntry; body?: Uint8Array[] }[]): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(writeTar(items)));
}

async function listed(bytes: Uint8Array, pieceBytes = 65_536, readBodies = true) {
  const found: { entry: TarEntry; body: string }[] = [];
  for await (const { entry, body } of readTar(pieces(bytes, pieceBytes))) {
    const parts: Uint8Array[] = [];
    if (readBodies) for await (const part of body) parts.push(Uint8Array.from(part));
    found.push({ entry, body: Buffer.concat(parts).toString("latin1") });
  }
  return found;
}

const rich = [
  tarEntry({ name: "d/", type: "directory", mode: 0o1777, uid: 5, gid: 6, mtimeNs: 1_500_000_000_123_456_789n }),
  tarEntry({ name: "d/setuid", type: "file", mode: 0o4755, sizeBytes: 5, uid: 4_000_000_000, gid: 3_000_000 }),
  tarEntry({ name: "d/hard", type: "hardlink", linkName: "d/setuid" }),
  tarEntry({ name: `d/${"long ".repeat(60)}`, type: "symlink", linkName: `../${"é".repeat(120)}` }),
  tarEntry({ name: "null", type: "char", devMajor: 1, devMinor: 3 }),
  tarEntry({ name: "disk", type: "block", devMajor: 259, devMinor: 70_000 }),
  tarEntry({ name: "pipe", type: "fifo" }),
  tarEntry({ name: "before 1970", type: "symlink", linkName: "x", mtimeNs: -500_000_000n }),
  tarEntry({ name: "long before", type: "symlink", linkName: "x", mtimeNs: -1_500_000_000n }),
  tarEntry({ name: "far", type: "symlink", linkName: "x", mtimeNs: 9_000_000_000_000_000_000n }),
  tarEntry({ name: "not utf-8 \udce9\udcff", type: "symlink", linkName: "\udc80" }),
  tarEntry({
    name: "xattrs",
    type: "file",
    xattrs: new Map([
      ["security.capability", Uint8Array.from([1, 0, 0, 2, 0, 10, 61, 255, 0])],
      ["user.empty", new Uint8Array(0)],
      ["user.lines", Uint8Array.from(Buffer.from("line\n2 k=v\n"))],
    ]),
  }),
];
const bodies = new Map([["d/setuid", Buffer.from("hello")]]);
const richArchive = () =>
  archive(
    ...rich.map((entry) => {
      const body = bodies.get(entry.name);
      return body === undefined ? { entry } : { entry, body: [body] };
    }),
  );

test("what is written is read again, in pieces of any size", async () => {
  const bytes = await richArchive();
  for (const size of [1, 7, 511, 512, 513, 65_536]) {
    const found = await listed(bytes, size);
    expect(found.map(({ entry }) => ({ ...entry, xattrs: [...entry.xattrs].sort() }))).toEqual(
      rich.map((entry) => ({ ...entry, xattrs: [...entry.xattrs].sort() })),
    );
    expect(found[1]?.body).toBe("hello");
  }
});

test("writing is deterministic", async () => {
  expect((await richArchive()).equals(await richArchive())).toBe(true);
});

test("unread bodies are skipped", async () => {
  const big = Buffer.alloc(300_001, "x");
  const file = (name: string) => ({ entry: tarEntry({ name, type: "file", sizeBytes: big.byteLength }), body: [big] });
  const bytes = await archive(file("a"), file("b"));
  expect((await listed(bytes, 1000, false)).map(({ entry }) => entry.name)).toEqual(["a", "b"]);
});

test("a body of another size than announced is refused by the writer", async () => {
  const entry = tarEntry({ name: "a", type: "file", sizeBytes: 3 });
  await expect(archive({ entry, body: [Buffer.from("ab")] })).rejects.toThrow("2 bytes came for 3");
  await expect(archive({ entry, body: [Buffer.from("abcd")] })).rejects.toThrow("4 bytes came for 3");
});

/** An archive by Python's tarfile, a writer that is not ours. */
function pythonTar(format: string, script: string): Buffer {
  const program = `
import io, sys, tarfile
out = io.BytesIO()
t = tarfile.open(fileobj=out, mode="w", format=tarfile.${format})
def add(name, type=tarfile.REGTYPE, data=b"", **more):
    i = tarfile.TarInfo(name); i.type = type; i.size = len(data)
    for k, v in more.items(): setattr(i, k, v)
    t.addfile(i, io.BytesIO(data))
${script}
t.close()
sys.stdout.buffer.write(out.getvalue())`;
  const run = Bun.spawnSync(["python3", "-c", program]);
  expect(run.stderr.toString()).toBe("");
  return run.stdout;
}

describe("archives of other writers", () => {
  test("GNU: long names and links, base-256 numbers", async () => {
    const [first, second] = await listed(
      pythonTar(
        "GNU_FORMAT",
        `add("n" * 300, data=b"abc", uid=3000000000, mtime=-5)
add("l" * 200, tarfile.SYMTYPE, linkname="t" * 400)`,
      ),
    );
    expect(first?.entry).toMatchObject({
      name: "n".repeat(300),
      uid: 3_000_000_000,
      mtimeNs: -5_000_000_000n,
      sizeBytes: 3,
    });
    expect(first?.body).toBe("abc");
    expect(second?.entry).toMatchObject({ name: "l".repeat(200), linkName: "t".repeat(400), type: "symlink" });
  });
  test("ustar: names split into prefix and name", async () => {
    const name = `${"p".repeat(120)}/${"n".repeat(90)}`;
    expect((await listed(pythonTar("USTAR_FORMAT", `add("${name}")`)))[0]?.entry.name).toBe(name);
  });
  test("pax: times, a global header, values that end with their entry", async () => {
    const bytes = pythonTar(
      "PAX_FORMAT",
      `t.pax_headers = {}
add("a", mtime=12.25, pax_headers={"SCHILY.xattr.user.k": "v"})
add("b")`,
    );
    const found = await listed(bytes);
    expect(found[0]?.entry.mtimeNs).toBe(12_250_000_000n);
    expect(found[0]?.entry.xattrs.get("user.k")).toEqual(Buffer.from("v"));
    expect(found[1]?.entry.xattrs.size).toBe(0);
    expect(found[1]?.entry.mtimeNs).toBe(0n);
  });
  test("V7: no magic, a directory by its slash", async () => {
    const block = encodeTarHeader(tarEntry({ name: "old/", type: "directory" }));
    block[156] = 0;
    block.fill(0, 257, 512);
    expect((await listed(Buffer.concat([resummed(block), tarEnd])))[0]?.entry.type).toBe("directory");
  });
});

function resummed(block: Uint8Array): Uint8Array {
  block.fill(32, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.set(Buffer.from(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  return block;
}

function patched(change: (block: Uint8Array) => void): Buffer {
  const block = encodeTarHeader(tarEntry({ name: "a", type: "file" }));
  change(block);
  return Buffer.concat([resummed(block), tarEnd]);
}

function paxHeader(type: string, text: string): Buffer {
  const block = encodeTarHeader(tarEntry({ name: "x", type: "file", sizeBytes: Buffer.byteLength(text) }));
  block[156] = type.charCodeAt(0);
  const body = Buffer.alloc(Math.ceil(Buffer.byteLength(text) / 512) * 512);
  body.write(text);
  return Buffer.concat([resummed(block), body]);
}

const plain = Buffer.concat([encodeTarHeader(tarEntry({ name: "a", type: "file" })), tarEnd]);

describe("bad input", () => {
  test.each([
    ["a wrong checksum", plain.map((byte, index) => (index === 0 ? 98 : byte)), "invalid tar header"],
    ["no archive at all", Buffer.alloc(2048, "no archive "), "in header"],
    ["a number that is none", patched((block) => block.set(Buffer.from("12x4"), 124)), "invalid size in header"],
    ["a negative size", patched((block) => block.fill(0xff, 124, 136)), "negative size"],
    [
      "a size beyond all numbers",
      patched((block) => block.fill(0x7f, 125, 136).fill(0x80, 124, 125)),
      "size out of range",
    ],
    ["an unknown type", patched((block) => block.fill(90, 156, 157)), "unhandled tar header type"],
    ["a GNU sparse file", patched((block) => block.fill(83, 156, 157)), "sparse file"],
    ["a pax sparse file", Buffer.concat([paxHeader("x", "22 GNU.sparse.major=1\n"), plain]), "sparse file"],
    ["a pax record of wrong length", Buffer.concat([paxHeader("x", "99 path=a\n"), plain]), "invalid pax record"],
    ["a pax record of length 0", Buffer.concat([paxHeader("x", "0 path=a\n"), plain]), "invalid pax record"],
    ["a pax size that is none", Buffer.concat([paxHeader("x", "11 size=-1\n"), plain]), "invalid pax size"],
    ["a pax time that is none", Buffer.concat([paxHeader("x", "12 mtime=1e\n"), plain]), "invalid pax time"],
    ["a huge extended header", Buffer.concat([paxHeader("x", "x".repeat(1_100_000)), plain]), "larger than 1048576"],
  ])("%s", async (_, bytes, message) => {
    await expect(listed(Uint8Array.from(bytes))).rejects.toThrow(message);
  });
  test("extended headers cannot add up without end", async () => {
    for (const type of ["x", "g"]) {
      const value = "v".repeat(100_000);
      const header = (key: number) => paxHeader(type, `100011 k${String(key).padStart(1)}=${value}\n`);
      let sent = 0;
      async function* endless() {
        for (;;) {
          sent++;
          yield header(sent % 10);
        }
      }
      const read = async () => {
        for await (const _ of readTar(endless())) void _;
      };
      await expect(read()).rejects.toThrow("are larger than");
      expect(sent).toBeLessThan(20);
    }
  });
  test("cut off anywhere but between entries", async () => {
    const bytes = await richArchive();
    for (const cut of [1, 511, 513, 1200, 2049])
      await expect(listed(bytes.subarray(0, cut))).rejects.toThrow("unexpected EOF");
  });
});

test("damaged archives end in an entry list or a clear error, never otherwise", async () => {
  const whole = await richArchive();
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * below);
  };
  for (let round = 0; round < 2000; round++) {
    const bytes = Uint8Array.from(whole.subarray(0, random(4) === 0 ? random(whole.byteLength) : whole.byteLength));
    for (let change = random(4); change >= 0; change--) {
      const offset = random(bytes.byteLength);
      bytes[offset] = random(256);
      // A right checksum lets the damage through to the field.
      const block = bytes.subarray(offset - (offset % 512), offset - (offset % 512) + 512);
      if (block.byteLength === 512 && random(2) === 0) resummed(block);
    }
    const failure = await listed(bytes, 1 + random(2000)).then(
      () => null,
      (error: unknown) => error,
    );
    if (failure !== null && !(failure instanceof EngineError))
      throw new Error(`SEED=${seed} round ${round}: ${failure}`);
  }
});
