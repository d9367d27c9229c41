import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { descriptorPath, RootDirectory } from "./in-root.ts";

let scratch = "";
let root: RootDirectory;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "skiff-root-"));
  mkdirSync(join(scratch, "root/etc"), { recursive: true });
  mkdirSync(join(scratch, "outside"));
  writeFileSync(join(scratch, "outside/secret"), "secret");
  writeFileSync(join(scratch, "root/etc/passwd"), "inside");
  root = new RootDirectory(join(scratch, "root"));
});
afterEach(() => {
  root[Symbol.dispose]();
  rmSync(scratch, { recursive: true, force: true });
});
const inRoot = (path: string) => join(scratch, "root", path);

describe("look-ups", () => {
  test("absolute paths, `..` and links are read from the root", () => {
    symlinkSync("/etc/passwd", inRoot("absolute"));
    symlinkSync("../../../../../../etc/passwd", inRoot("climbs"));
    symlinkSync("/etc", inRoot("dir"));
    for (const path of ["etc/passwd", "/etc/passwd", "../../etc/passwd", "absolute", "climbs", "/dir/../dir/passwd"])
      expect(root.readText(path, 100)).toBe("inside");
  });
  test("nothing outside is reached", () => {
    symlinkSync(join(scratch, "outside"), inRoot("out"));
    symlinkSync("../outside", inRoot("up"));
    for (const path of ["out/secret", "up/secret", "../outside/secret", join(scratch, "outside/secret")])
      expect(root.readText(path, 100)).toBeNull();
  });
  test("the kernel's magic links are not followed", () => {
    using proc = new RootDirectory("/proc");
    expect(() => proc.open("self/root", constants.O_RDONLY)).toThrow("ELOOP");
    expect(() => proc.open("self/fd/0", constants.O_RDONLY)).toThrow("ELOOP");
  });
  test("what is absent is null, a loop is an error", () => {
    symlinkSync("loop", inRoot("loop"));
    expect(root.lookUp("none")).toBeNull();
    expect(root.lookUp("etc/passwd/below")).toBeNull();
    expect(() => root.lookUp("loop")).toThrow("ELOOP");
  });
  test("a link itself, where asked", () => {
    symlinkSync("nowhere", inRoot("link"));
    expect(root.lookUp("link")).toBeNull();
    const fd = root.lookUp("link", { noFollow: true });
    expect(fd).not.toBeNull();
    if (fd !== null) closeSync(fd);
  });
  test("descriptors are closed on exec", () => {
    const fd = root.open("etc/passwd", constants.O_RDONLY);
    const flags = /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1] ?? "0";
    closeSync(fd);
    expect(Number.parseInt(flags, 8) & 0o2000000).not.toBe(0);
  });
});

describe("text", () => {
  test("too large, no file, a fifo that nobody writes to", () => {
    writeFileSync(inRoot("big"), "x".repeat(101));
    Bun.spawnSync(["mkfifo", inRoot("fifo")]);
    expect(() => root.readText("big", 100)).toThrow("larger than 100 bytes");
    expect(() => root.readText("etc", 100)).toThrow("not a regular file");
    expect(() => root.readText("fifo", 100)).toThrow("not a regular file");
    expect(() => root.readText("bad\0name", 100)).toThrow("NUL");
  });
});

describe("making directories", () => {
  const make = (path: string, mode?: number) => {
    const { fd, created } = root.makeDirectory(path, mode);
    const ino = lstatSync(`${descriptorPath(fd)}/.`).ino;
    closeSync(fd);
    return { created, ino };
  };
  test("with parents, and says whether the last one is new", () => {
    expect(make("a/b/c").created).toBe(true);
    expect(make("/a/./b//c/").created).toBe(false);
    expect(make("a/b/../d").created).toBe(true);
    expect(existsSync(inRoot("a/d"))).toBe(true);
  });
  test("through links, inside the root", () => {
    symlinkSync(join("/", scratch, "outside"), inRoot("out"));
    symlinkSync("/etc", inRoot("conf"));
    expect(make("conf/new").created).toBe(true);
    expect(lstatSync(inRoot("etc/new")).ino).toBe(make("etc/new").ino);
    expect(() => make("out/new")).toThrow("ENOENT");
    expect(existsSync(join(scratch, "outside/new"))).toBe(false);
    expect(readlinkSync(inRoot("out"))).toBe(join(scratch, "outside"));
  });
  test("over a file is an error", () => {
    expect(() => make("etc/passwd/x")).toThrow("ENOTDIR");
  });
  test("leaves no descriptor open", () => {
    const count = () => readdirSync("/proc/self/fd").length;
    const before = count();
    for (let index = 0; index < 200; index++) make("a/b/c/d");
    expect(count()).toBe(before);
  });
});

test("look-ups stay right while directories are moved about", async () => {
  mkdirSync(inRoot("x/y"), { recursive: true });
  const mover = Bun.spawn([
    "python3",
    "-c",
    `import os, time\nend = time.time() + 0.7\nr = ${JSON.stringify(`${inRoot("")}/`)}\nwhile time.time() < end:\n  os.rename(r + "x/y", r + "y"); os.rename(r + "y", r + "x/y")`,
  ]);
  const end = performance.now() + 500;
  while (performance.now() < end) {
    expect(root.readText("x/../../x/../etc/passwd", 100)).toBe("inside");
    expect(root.readText("x/y/../../../../outside/secret", 100)).toBeNull();
  }
  expect(await mover.exited).toBe(0);
});
