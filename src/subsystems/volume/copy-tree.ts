/** Copies a directory tree by descriptor: no link in the source or in the target is ever followed. */
import { closeSync, constants, fchmodSync, fchownSync, fstatSync, readdirSync, readlinkSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import {
  chownAt,
  linkAt,
  listXattrs,
  mkdirAt,
  mknodAt,
  openAt,
  setXattrAt,
  symlinkAt,
  unlinkAt,
  utimeAt,
} from "#linux/fs/files.ts";
import { descriptorPath } from "#linux/fs/in-root.ts";
import { SyscallError } from "#linux/libc.ts";

const oPath = 0o10000000;
const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Where the first name of a file with several was copied to. */
type Links = Map<string, { readonly directory: number; readonly name: string }>;

/** Owner, mode and extended attributes of one open directory for another. */
export function copyDirectoryAttributes(from: number, to: number): void {
  const stat = fstatSync(from);
  fchownSync(to, stat.uid, stat.gid);
  fchmodSync(to, stat.mode & 0o7777);
}

/**
 * Copies everything below the open directory `from` into the open directory `to`: contents, owners, modes, times, links,
 * devices, extended attributes. What is already there by the same name stays, so that an interrupted copy can go on.
 */
export async function copyTree(from: number, to: number): Promise<void> {
  const held: number[] = [];
  try {
    await copyEntries(from, to, new Map(), held);
  } finally {
    for (const fd of held) closeSync(fd);
  }
}

async function copyEntries(from: number, to: number, links: Links, held: number[]): Promise<void> {
  for (const name of readdirSync(descriptorPath(from))) {
    const source = openAt(from, name, oPath | constants.O_NOFOLLOW);
    try {
      await copyEntry(from, source, to, name, links, held);
    } finally {
      closeSync(source);
    }
  }
}

async function copyEntry(from: number, source: number, to: number, name: string, links: Links, held: number[]) {
  const stat = fstatSync(source, { bigint: true });
  const key = `${stat.dev}:${stat.ino}`;
  const first = stat.isDirectory() ? undefined : links.get(key);
  if (first !== undefined) {
    unlessThere(() => linkAt(first.directory, first.name, to, name));
    return;
  }
  if (stat.isDirectory()) {
    unlessThere(() => mkdirAt(to, name, 0o700));
    const [below, target] = [openAt(from, name, directoryFlags), openAt(to, name, directoryFlags)];
    // Kept open only when a hard link may still point into it; closing at the end is simplest and bounded by the tree.
    held.push(target);
    try {
      await copyEntries(below, target, links, held);
      copyDirectoryAttributes(below, target);
    } finally {
      closeSync(below);
    }
  } else if (stat.isSymbolicLink()) {
    const target = readlinkSync(`${descriptorPath(from)}/${name}`);
    unlessThere(() => symlinkAt(target, to, name));
    chownAt(to, name, Number(stat.uid), Number(stat.gid));
  } else if (stat.isFile()) {
    await copyRegular(source, to, name, stat);
  } else {
    const [major, minor] = deviceParts(stat.rdev);
    unlessThere(() => mknodAt(to, name, Number(stat.mode), major, minor));
    chownAt(to, name, Number(stat.uid), Number(stat.gid));
  }
  if (!stat.isSymbolicLink()) copyXattrs(from, to, name);
  utimeAt(to, name, stat.mtimeNs);
  if (!stat.isDirectory() && stat.nlink > 1n) links.set(key, { directory: to, name });
}

async function copyRegular(source: number, to: number, name: string, stat: { uid: bigint; gid: bigint; mode: bigint }) {
  // A half-written file of an interrupted copy is written anew.
  try {
    unlinkAt(to, name, false);
  } catch (error) {
    if (!(error instanceof SyscallError) || error.code !== "ENOENT") throw error;
  }
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const target = openAt(to, name, flags, 0o600);
  try {
    await copyFile(descriptorPath(source), descriptorPath(target));
    fchownSync(target, Number(stat.uid), Number(stat.gid));
    fchmodSync(target, Number(stat.mode) & 0o7777);
  } finally {
    closeSync(target);
  }
}

function unlessThere(make: () => void): void {
  try {
    make();
  } catch (error) {
    if (!(error instanceof SyscallError) || error.code !== "EEXIST") throw error;
  }
}

/** Overlay's own marks are of its mount, not of the content. */
function copyXattrs(from: number, to: number, name: string): void {
  for (const [key, value] of listXattrs(`${descriptorPath(from)}/${name}`)) {
    if (/^(trusted|user)\.overlay\./.test(key)) continue;
    setXattrAt(to, name, key, value);
  }
}

/** glibc's major(3) and minor(3). */
function deviceParts(device: bigint): [number, number] {
  return [
    Number(((device >> 32n) & 0xfffff000n) | ((device >> 8n) & 0xfffn)),
    Number(((device >> 12n) & 0xffffff00n) | (device & 0xffn)),
  ];
}
