import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listXattrs } from "#linux/fs/files.ts";
import { type TarEntry, tarEntry } from "#spec/tar/tar.ts";
import { writeTar } from "#spec/tar/write.ts";
import { applyLayer } from "./apply.ts";

let scratch = "";
let root = "";
let outside = "";
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "skiff-apply-"));
  root = join(scratch, "layer");
  outside = join(scratch, "outside");
  mkdirSync(root);
  mkdirSync(outside);
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

type Item = { entry: TarEntry; body?: Uint8Array[] };
const file = (name: string, text = "", more: Partial<TarEntry> = {}): Item => ({
  entry: tarEntry({ name, type: "file", sizeBytes: Buffer.byteLength(text), ...more }),
  body: [Buffer.from(text)],
});
const entry = (type: TarEntry["type"], name: string, more: Partial<TarEntry> = {}): Item => ({
  entry: tarEntry({ name, type, ...more }),
});
const directory = (name: string, more: Partial<TarEntry> = {}) => entry("directory", name, more);
const link = (name: string, linkName: string) => entry("symlink", name, { linkName });
const hard = (name: string, linkName: string) => entry("hardlink", name, { linkName });
const apply = (...items: Item[]) => applyLayer(root, writeTar(items));
const text = (path: string) => readFileSync(join(root, path), "utf8");
const isWhiteout = (path: string) => {
  const stat = lstatSync(join(root, path));
  return stat.isCharacterDevice() && stat.rdev === 0;
};
const opaque = (path: string) =>
  Buffer.from(listXattrs(join(root, path)).get("trusted.overlay.opaque") ?? []).toString();

/** Everything that can be seen of a tree, a line an entry. */
function seen(top: string): string[] {
  const lines: string[] = [];
  const inodes = new Map<bigint, string>();
  const visit = (path: Buffer, name: string) => {
    const stat = lstatSync(path, { bigint: true });
    const first = inodes.get(stat.ino) ?? name;
    inodes.set(stat.ino, first);
    const body = stat.isFile()
      ? Bun.hash(readFileSync(path)).toString(36)
      : stat.isSymbolicLink()
        ? readlinkSync(path, "hex")
        : "";
    const size = stat.isDirectory() ? "" : stat.size;
    const xattrs = [...listXattrs(path.toString())]
      .map(([key, value]) => `${key}=${Buffer.from(value).toString("hex")}`)
      .sort();
    lines.push(
      [
        name,
        stat.mode.toString(8),
        stat.uid,
        stat.gid,
        size,
        stat.mtimeNs,
        stat.rdev,
        stat.nlink,
        first,
        body,
        ...xattrs,
      ].join(" "),
    );
    if (!stat.isDirectory()) return;
    for (const child of readdirSync(path, { encoding: "buffer" }).sort(Buffer.compare))
      visit(Buffer.concat([path, Buffer.from("/"), child]), `${name}/${child.toString("latin1")}`);
  };
  visit(Buffer.from(top), ".");
  return lines;
}

/** A tree with one of everything, made by other programs than ours. */
const richTree = `
set -e
mkdir -p d/sub empty "sp ace" && printf hello > d/file && printf '' > d/nothing && ln d/file d/sub/hard && ln -s ../nowhere d/link
ln -s /etc/passwd absolute && mkfifo pipe && mknod null c 1 3 && mknod disk b 259 70000 && chmod 666 null
head -c 3000000 /dev/urandom > big && printf x > "$(printf 'latin-\\351\\377')" && printf y > 'sp ace/ü'
mkdir -p "$(printf 'long%.0s' $(seq 1 50))/$(printf 'name%.0s' $(seq 1 50))"
chown 1234:4321 d/file d/link && chown 4000000000:3000000000 d/nothing && chmod 4755 big && chmod 2770 d && chmod 1777 empty && chmod 000 d/nothing
python3 - <<'P'
import os
os.setxattr("d/file", "user.note", b"\\x00\\xff=\\n")
os.setxattr("d", "trusted.t", b"1")
os.setxattr("big", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
P
find . -depth -exec touch -h -d '2001-02-03 04:05:06.123456789 UTC' {} +
touch -h -d '1969-12-31 23:59:58.5 UTC' d/link`;

function run(...command: string[]): void {
  const done = Bun.spawnSync(command, { cwd: scratch });
  if (done.exitCode !== 0) throw new Error(`${command.join(" ")}: ${done.stderr}`);
}

describe("against GNU tar", () => {
  for (const format of ["pax", "gnu"]) {
    test(`a tree with one of everything, ${format}`, async () => {
      mkdirSync(join(scratch, "tree"));
      mkdirSync(join(scratch, "gnu"));
      run("bash", "-c", `cd tree\n${richTree}`);
      const xattrs = format === "pax" ? ["--xattrs", "--xattrs-include=*"] : [];
      run("tar", `--format=${format}`, ...xattrs, "-C", "tree", "-cf", "a.tar", ".");
      run("tar", ...xattrs, "--numeric-owner", "-C", "gnu", "-xpf", "a.tar");
      const { sizeBytes } = await applyLayer(root, Bun.file(join(scratch, "a.tar")).stream());
      expect(seen(root)).toEqual(seen(join(scratch, "gnu")));
      if (format === "pax") expect(seen(root)).toEqual(seen(join(scratch, "tree")));
      expect(sizeBytes).toBe(3_000_000 + 5 + 1 + 1);
    });
  }
});

describe("nothing lands outside", () => {
  const hostile: Record<string, () => Item[]> = {
    "names that climb": () => [file("../../outside/x"), file("a/../../../outside/x"), directory("../outside/x")],
    "absolute names": () => [file(`${outside}/x`), directory(`${outside}/d`)],
    "a link as parent": () => [link("out", outside), file("out/x"), directory("out/d"), link("out/l", "x")],
    "a chain of links": () => [link("a", ".."), link("b", "a/.."), link("c", "b/../../../.."), file(`c${outside}/x`)],
    "a link as last part": () => [link("x", `${outside}/x`), file("x", "text")],
    "a directory over a link": () => [link("out", outside), directory("out", { mode: 0o700, uid: 7 })],
    "whiteouts through a link": () => [link("out", outside), file("out/.wh.kept"), file("out/.wh..wh..opq")],
    "times, modes and owners through a link": () => [
      directory("out", { mtimeNs: 5n }),
      directory("out/sub", { mtimeNs: 5n, mode: 0o777, uid: 9 }),
      link("out", outside),
    ],
    "replacing what a link leads to": () => [
      link("out", ".."),
      link("out/outside", "nowhere"),
      file("out/outside/kept", "new"),
    ],
  };
  for (const [what, items] of Object.entries(hostile)) {
    test(what, async () => {
      mkdirSync(join(outside, "sub"));
      await Bun.write(join(outside, "kept"), "kept");
      const before = seen(outside);
      await apply(...items());
      expect(seen(outside)).toEqual(before);
      expect(readdirSync(scratch).sort()).toEqual(["layer", "outside"]);
    });
  }
  test("a hard link to a file outside", async () => {
    await Bun.write(join(outside, "secret"), "secret");
    for (const target of [`${outside}/secret`, "../outside/secret"])
      await expect(apply(hard("stolen", target))).rejects.toThrow('cannot apply "stolen"');
    await expect(apply(link("out", outside), hard("stolen", "out/secret"))).rejects.toThrow('cannot apply "stolen"');
    expect(existsSync(join(root, "stolen"))).toBe(false);
  });
  test("a hard link names a symbolic link itself, not what it leads to", async () => {
    await Bun.write(join(outside, "secret"), "secret");
    await apply(link("l", `${outside}/secret`), hard("h", "l"), file("h", "new"));
    expect(readFileSync(join(outside, "secret"), "utf8")).toBe("secret");
    expect(text("h")).toBe("new");
  });
  test("a device or fifo in the way is replaced, never opened", async () => {
    await apply(entry("fifo", "p"), file("p", "a"), entry("char", "c", { devMajor: 1, devMinor: 1 }), file("c/x", "b"));
    expect(text("p") + text("c/x")).toBe("ab");
  });
});

describe("links inside the layer", () => {
  test("a parent that is a link to a directory of the layer is followed, absolute ones from the layer's root", async () => {
    await apply(
      directory("usr/lib"),
      link("lib", "usr/lib"),
      link("abs", "/usr/lib"),
      file("lib/a", "a"),
      file("abs/b", "b"),
    );
    expect(text("usr/lib/a") + text("usr/lib/b")).toBe("ab");
    expect(readlinkSync(join(root, "lib"))).toBe("usr/lib");
  });
  test("a dangling one, and a loop, become directories", async () => {
    await apply(link("gone", "nowhere"), file("gone/a", "a"), link("loop", "loop"), file("loop/b", "b"));
    expect(text("gone/a") + text("loop/b")).toBe("ab");
  });
  test("times of a directory replaced by its other name", async () => {
    await apply(directory("lib"), link("a", "lib"), directory("a/x"), directory("a/x/y"), file("lib/x", "file"));
    expect(text("lib/x")).toBe("file");
  });
});

describe("later entries replace earlier ones", () => {
  test("file, directory, link, each over each", async () => {
    await apply(
      file("f", "1"),
      file("f", "2", { mode: 0o600 }),
      directory("d"),
      file("d/in/deep", "x"),
      file("d", "now a file"),
      file("e", "x"),
      directory("e", { mtimeNs: 1_000_000_000n }),
      file("e/in", "y"),
      directory("k"),
      file("k/stays", "z"),
      directory("k", { mode: 0o711 }),
      directory("l/x"),
      link("l", "k"),
    );
    expect([text("f"), text("d"), text("e/in"), text("k/stays")]).toEqual(["2", "now a file", "y", "z"]);
    expect(lstatSync(join(root, "k")).mode & 0o7777).toBe(0o711);
    expect(lstatSync(join(root, "e")).mtimeMs).toBe(1000);
    expect(readlinkSync(join(root, "l"))).toBe("k");
  });
  test("a file that replaces a hard link leaves the other name alone", async () => {
    await apply(file("a", "old"), hard("b", "a"), file("a", "new"));
    expect([text("a"), text("b")]).toEqual(["new", "old"]);
  });
  test("names that are no UTF-8 are removed with their directory", async () => {
    await apply(file("d/\udcff\udcfe", "x"), file("d", "file"));
    expect(text("d")).toBe("file");
  });
});

describe("whiteouts", () => {
  test("become overlayfs's own", async () => {
    await apply(file("a/.wh.gone"), file(".wh.top"), file("o/.wh..wh..opq"), file(".wh..wh.plnk"), file("o/in", "x"));
    expect(isWhiteout("a/gone") && isWhiteout("top")).toBe(true);
    expect(opaque("o")).toBe("y");
    expect(readdirSync(root).sort()).toEqual(["a", "o", "top"]);
  });
  test("hide only what lies below, whichever comes first", async () => {
    await apply(
      file("f", "own"),
      file(".wh.f"),
      file("d/own", "own"),
      file(".wh.d"),
      file(".wh.e"),
      file("e/own", "own"),
      file(".wh.g"),
      directory("g"),
    );
    expect(text("f") + text("d/own") + text("e/own")).toBe("ownownown");
    expect([opaque("d"), opaque("e"), opaque("g")]).toEqual(["y", "y", "y"]);
  });
  test.each([".wh.", ".wh..", ".wh..."])("%s is refused", async (name) => {
    await expect(apply(file(`d/${name}`))).rejects.toThrow("invalid whiteout");
  });
});

describe("attributes", () => {
  test("overlayfs's own cannot be forged", async () => {
    const xattrs = new Map(
      ["trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.opaque", "user.kept"].map((key) => [
        key,
        Buffer.from("y"),
      ]),
    );
    await apply(directory("d", { xattrs }));
    expect([...listXattrs(join(root, "d")).keys()]).toEqual(["user.kept"]);
  });
  test("those that a kind of file cannot have are left out", async () => {
    const xattrs = new Map([["user.k", Buffer.from("v")]]);
    await apply(entry("symlink", "l", { linkName: "x", xattrs }), entry("fifo", "p", { xattrs }));
    expect(readlinkSync(join(root, "l"))).toBe("x");
  });
  test("of the layer's own root", async () => {
    await apply(directory("./", { mode: 0o1770, uid: 3, mtimeNs: 7_000_000_000n }), file("x"));
    const stat = lstatSync(root);
    expect([stat.mode & 0o7777, stat.uid, stat.mtimeMs]).toEqual([0o1770, 3, 7000]);
  });
  test("parents without an entry do not depend on the umask", async () => {
    const before = process.umask(0o077);
    try {
      await apply(file("a/b/c"));
    } finally {
      process.umask(before);
    }
    expect(lstatSync(join(root, "a/b")).mode & 0o7777).toBe(0o755);
  });
});

describe("bad input", () => {
  test("owners out of range", async () => {
    for (const uid of [0xffff_ffff, 2 ** 32, 2 ** 40])
      await expect(apply(file("f", "", { uid }))).rejects.toThrow("is out of range");
  });
  test.each([`${"y".repeat(120)}\0`, `${"x/".repeat(3000)}f`, "y".repeat(300)])(
    "a name that no file can have",
    async (name) => {
      await expect(apply(file(name))).rejects.toMatchObject({ kind: "invalid" });
    },
  );
  test("a hard link to nothing, to itself, to a directory", async () => {
    for (const items of [
      [hard("a", "b")],
      [file("c"), hard("c", "c")],
      [directory("d"), hard("e", "d")],
      [hard("f", "/")],
    ])
      await expect(apply(...items)).rejects.toMatchObject({ kind: "invalid" });
  });
  test("a tree deeper than any path is removed again", async () => {
    const deep = `${"n".repeat(200)}/`.repeat(19);
    const items = [directory(deep), link("l", deep), directory(`l/${deep}`), file(`l/${deep}f`)];
    await apply(...items);
    rmSync(root, { recursive: true, force: true });
    expect(existsSync(root)).toBe(false);
  });
});

test("others have their turn while many small entries of one chunk are written", async () => {
  const items = Array.from({ length: 4000 }, (_, index) => entry("symlink", `l${index}`, { linkName: "x" }));
  const whole = Buffer.concat(await Array.fromAsync(writeTar(items)));
  async function* oneChunk() {
    yield whole;
  }
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await applyLayer(root, oneChunk());
  clearInterval(timer);
  expect(turns).toBeGreaterThan(2);
});
