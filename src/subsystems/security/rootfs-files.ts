/** What has to be there in a container's tree before it starts, made by descriptor: no link in an image leads out. */
import { closeSync, fstatSync } from "node:fs";
import { EngineError } from "#base/errors.ts";
import { RootDirectory } from "#linux/fs/in-root.ts";
import { SyscallError } from "#linux/libc.ts";

/**
 * Makes WORKDIR with its missing parents, owned by root, 0755.
 * @throws EngineError `invalid` when a part of it is no directory
 */
export function makeWorkingDirectory(rootfs: string, path: string): void {
  using root = new RootDirectory(rootfs);
  try {
    closeSync(root.makeDirectory(path).fd);
  } catch (cause) {
    if (!(cause instanceof SyscallError)) throw cause;
    throw new EngineError("invalid", path, `Cannot mkdir: ${path} is not a directory`, { cause });
  }
}

/** What lies at `path` in the tree, links followed inside it. */
export function kindInRoot(rootfs: string, path: string): "directory" | "other" | "absent" {
  using root = new RootDirectory(rootfs);
  let fd: number | null;
  try {
    fd = root.lookUp(path);
  } catch {
    return "absent";
  }
  if (fd === null) return "absent";
  try {
    return fstatSync(fd).isDirectory() ? "directory" : "other";
  } finally {
    closeSync(fd);
  }
}
