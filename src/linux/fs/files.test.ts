import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  closeSync,
  constants,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  chmodAt,
  chownAt,
  fileType,
  linkAt,
  listXattrs,
  mkdirAt,
  mknodAt,
  openAt,
  setXattrAt,
  symlinkAt,
  syncDirectory,
  syncFileSystem,
  tryLock,
  unlinkAt,
  utimeAt,
} from "./files.ts";

let root = "";
let fd = -1;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "skiff-files-"));
  fd = openAt(-100, root, constants.O_RDONLY | constants.O_DIRECTORY);
});
afterEach(() => {
  closeSync(fd);
  rmSync(root, { recursive: true, force: true });
});
const stat = (name: string) => lstatSync(join(root, name), { bigint: true });

test("entries are made, linked and taken away below a descriptor", () => {
  mkdirAt(fd, "d", 0o700);
  symlinkAt("nowhere", fd, "l");
  linkAt(fd, "l", fd, "l2");
  expect(stat("l2").ino).toBe(stat("l").ino);
  expect(() => mkdirAt(fd, "d", 0o700)).toThrow("mkdirat d: EEXIST");
  expect(() => unlinkAt(fd, "d", false)).toThrow("EISDIR");
  unlinkAt(fd, "d", true);
  expect(() => unlinkAt(fd, "d", true)).toThrow("ENOENT");
});

test("device numbers of any size", () => {
  for (const [name, major, minor] of [
    ["null", 1, 3],
    ["large", 4095, 1_048_575],
  ] as const) {
    mknodAt(fd, name, fileType.char | 0o600, major, minor);
    const shown = Bun.spawnSync(["stat", "-c", "%Hr %Lr", join(root, name)])
      .stdout.toString()
      .trim();
    expect(shown).toBe(`${major} ${minor}`);
  }
});

test("owner, mode and times of the entry itself, to the nanosecond, before 1970 too", () => {
  writeFileSync(join(root, "f"), "");
  symlinkSync("f", join(root, "l"));
  const before = stat("f");
  chownAt(fd, "l", 4_000_000_000, 7);
  for (const time of [1_234_567_890_123_456_789n, -1n, -1_500_000_000n, -2_000_000_000n, 0n]) {
    utimeAt(fd, "l", time);
    expect(stat("l").mtimeNs).toBe(time);
  }
  expect([stat("l").uid, stat("l").gid]).toEqual([4_000_000_000n, 7n]);
  expect([stat("f").uid, stat("f").mtimeNs]).toEqual([before.uid, before.mtimeNs]);
  chmodAt(fd, "f", 0o4751);
  expect(stat("f").mode & 0o7777n).toBe(0o4751n);
});

test("extended attributes, empty and binary ones, of links too", () => {
  writeFileSync(join(root, "f"), "");
  symlinkSync("f", join(root, "l"));
  setXattrAt(fd, "f", "user.empty", new Uint8Array(0));
  setXattrAt(fd, "f", "user.bytes", Uint8Array.from([0, 255, 0]));
  setXattrAt(fd, "l", "trusted.of.link", Buffer.from("l"));
  expect([...listXattrs(join(root, "f"))].sort()).toEqual([
    ["user.bytes", Uint8Array.from([0, 255, 0])],
    ["user.empty", new Uint8Array(0)],
  ]);
  expect([...listXattrs(join(root, "l")).keys()]).toEqual(["trusted.of.link"]);
  expect(() => setXattrAt(fd, "l", "user.of.link", Buffer.from("x"))).toThrow("EPERM");
});

test("names that are no UTF-8", () => {
  mkdirAt(fd, "\udcff\udce9", 0o700);
  expect(Bun.spawnSync(["ls", "-b", root]).stdout.toString().trim()).toBe("\\377\\351");
  unlinkAt(fd, "\udcff\udce9", true);
});

test("flushing works, and says what it could not flush", async () => {
  syncDirectory(root);
  await syncFileSystem(root);
  await expect(syncFileSystem(join(root, "absent"))).rejects.toThrow("cannot flush");
});

test("a lock has one holder in any process, and goes with it", () => {
  const path = join(root, "lock");
  const held = tryLock(path, "first");
  expect(held).not.toBeNull();
  expect(tryLock(path, "second")).toBeNull();
  expect(readFileSync(path, "utf8")).toBe("first");
  expect(Bun.spawnSync(["flock", "-n", path, "true"]).exitCode).toBe(1);
  held?.[Symbol.dispose]();
  const again = tryLock(path, "x");
  expect(readFileSync(path, "utf8")).toBe("x");
  again?.[Symbol.dispose]();
});
