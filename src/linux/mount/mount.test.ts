import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bindMount, mount, mountFlag, mountOverlay, mountsBelow, unmount, unmountAllBelow } from "./mount.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "skiff-mount-"));
});
afterEach(() => {
  unmountAllBelow(root);
  rmSync(root, { recursive: true, force: true });
});
const directory = (name: string) => {
  mkdirSync(join(root, name), { recursive: true });
  return join(root, name);
};

describe("overlay", () => {
  const stack = (count: number, prefix = "") =>
    Array.from({ length: count }, (_, index) => {
      const path = directory(`${prefix}${index}`);
      writeFileSync(join(path, `f${index}`), "");
      writeFileSync(join(path, "same"), String(index));
      return path;
    });
  test.each([
    ["a few layers", 2, ""],
    ["more layers than a page of options holds", 200, "a-rather-long-name-of-a-layer-"],
    ["layers whose names hold a comma", 2, "a,b"],
    ["layers whose names hold a backslash", 2, "a\\b"],
  ])("%s", (_, count, prefix) => {
    const target = directory("target");
    mountOverlay(target, stack(count, prefix), directory("upper"), directory("work"));
    expect(readdirSync(target)).toHaveLength(count + 1);
    expect(readFileSync(join(target, "same"), "utf8")).toBe("0");
    writeFileSync(join(target, "new"), "");
    expect(readdirSync(join(root, "upper"))).toEqual(["new"]);
  });
  test("a layer that is not there is an error, and leaves no mount", () => {
    const target = directory("target");
    const absent = join(root, "absent");
    expect(() => mountOverlay(target, [absent], directory("upper"), directory("work"))).toThrow("ENOENT");
    expect(() =>
      mountOverlay(
        target,
        [...stack(200, "a-rather-long-name-of-a-layer-"), absent],
        directory("upper"),
        directory("work"),
      ),
    ).toThrow();
    expect(mountsBelow(root)).toEqual([]);
  });
});

describe("bind", () => {
  test("reads and writes, or reads only", () => {
    const source = directory("source");
    bindMount(source, directory("rw"));
    bindMount(source, directory("ro"), { readOnly: true });
    writeFileSync(join(root, "rw/x"), "x");
    expect(readFileSync(join(root, "ro/x"), "utf8")).toBe("x");
    expect(() => writeFileSync(join(root, "ro/x"), "y")).toThrow("EROFS");
  });
  test("with what is mounted below, where asked", () => {
    mount("tmpfs", directory("source/below"), "tmpfs", mountFlag.nosuid | mountFlag.nodev, "size=64k");
    writeFileSync(join(root, "source/below/x"), "x");
    bindMount(join(root, "source"), directory("plain"));
    bindMount(join(root, "source"), directory("deep"), { recursive: true });
    expect(readdirSync(join(root, "plain/below"))).toEqual([]);
    expect(readdirSync(join(root, "deep/below"))).toEqual(["x"]);
  });
});

describe("unmounting", () => {
  test("may be asked for again, and of what never was", () => {
    const target = directory("t");
    bindMount(directory("source"), target);
    expect([unmount(target), unmount(target), unmount(join(root, "absent"))]).toEqual([true, false, false]);
  });
  test("a mount in use goes when its last user does", () => {
    const target = directory("t");
    mount("tmpfs", target, "tmpfs", 0, "size=64k");
    const user = Bun.spawn(["sleep", "60"], { cwd: target });
    expect(unmount(target)).toBe(true);
    expect(mountsBelow(root)).toEqual([]);
    user.kill();
    return user.exited.then(() => {});
  });
  test("of everything below a directory: nested, stacked, with odd names, and not beside it", () => {
    for (const name of ["p", "p", "p/in", "p/in/sp ace\\ü\n", "p-beside"])
      mount("tmpfs", directory(name), "tmpfs", 0, "size=64k");
    expect(mountsBelow(join(root, "p"))).toHaveLength(4);
    unmountAllBelow(join(root, "p"));
    expect(mountsBelow(root)).toEqual([join(root, "p-beside")]);
  });
});
