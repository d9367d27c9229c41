/** Files by descriptor and the calls that Node leaves out. */
import { ptr, FFIType as T } from "bun:ffi";
import { closeSync, fsyncSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { check, cString, openLibc } from "../libc.ts";

const libc = openLibc({
  mkdirat: { args: [T.i32, T.ptr, T.u32], returns: T.i32 },
  mknodat: { args: [T.i32, T.ptr, T.u32, T.u64], returns: T.i32 },
  symlinkat: { args: [T.ptr, T.i32, T.ptr], returns: T.i32 },
  linkat: { args: [T.i32, T.ptr, T.i32, T.ptr, T.i32], returns: T.i32 },
  unlinkat: { args: [T.i32, T.ptr, T.i32], returns: T.i32 },
  openat: { args: [T.i32, T.ptr, T.i32, T.u32], returns: T.i32 },
  fchownat: { args: [T.i32, T.ptr, T.u32, T.u32, T.i32], returns: T.i32 },
  fchmodat: { args: [T.i32, T.ptr, T.u32, T.i32], returns: T.i32 },
  utimensat: { args: [T.i32, T.ptr, T.ptr, T.i32], returns: T.i32 },
  lsetxattr: { args: [T.ptr, T.ptr, T.ptr, T.u64, T.i32], returns: T.i32 },
  lgetxattr: { args: [T.ptr, T.ptr, T.ptr, T.u64], returns: T.i64 },
  llistxattr: { args: [T.ptr, T.ptr, T.u64], returns: T.i64 },
  flock: { args: [T.i32, T.i32], returns: T.i32 },
  syncfs: { args: [T.i32], returns: T.i32 },
});

const atSymlinkNofollow = 0x100;
const atRemovedir = 0x200;
const lockExclusive = 2;
const lockNonBlocking = 4;

export const fileType = { fifo: 0o010000, char: 0o020000, block: 0o060000, regular: 0o100000 } as const;

export function mkdirAt(directory: number, name: string, mode: number): void {
  const n = cString(name);
  check(libc.mkdirat(directory, ptr(n), mode), "mkdirat", name);
}

/** Makes a device, fifo or empty file. `typeAndMode` as mknod(2). */
export function mknodAt(directory: number, name: string, typeAndMode: number, major = 0, minor = 0): void {
  const n = cString(name);
  check(libc.mknodat(directory, ptr(n), typeAndMode, deviceNumber(major, minor)), "mknodat", name);
}

/** glibc's makedev(3). */
function deviceNumber(major: number, minor: number): bigint {
  const [a, b] = [BigInt(major), BigInt(minor)];
  return ((a & 0xffffff000n) << 32n) | ((a & 0xfffn) << 8n) | ((b & 0xffffff00n) << 12n) | (b & 0xffn);
}

export function symlinkAt(target: string, directory: number, name: string): void {
  const [t, n] = [cString(target), cString(name)];
  check(libc.symlinkat(ptr(t), directory, ptr(n)), "symlinkat", name);
}

/** A second name for the file `from`, which is not followed when it is a link. */
export function linkAt(fromDirectory: number, from: string, directory: number, name: string): void {
  const [f, n] = [cString(from), cString(name)];
  check(libc.linkat(fromDirectory, ptr(f), directory, ptr(n), 0), "linkat", name);
}

export function unlinkAt(directory: number, name: string, isDirectory: boolean): void {
  const n = cString(name);
  check(libc.unlinkat(directory, ptr(n), isDirectory ? atRemovedir : 0), "unlinkat", name);
}

/** openat(2) with O_CLOEXEC. */
export function openAt(directory: number, name: string, flags: number, mode = 0): number {
  const n = cString(name);
  return check(libc.openat(directory, ptr(n), flags | 0o2000000, mode), "openat", name);
}

/** Owner of the entry itself, links not followed. */
export function chownAt(directory: number, name: string, uid: number, gid: number): void {
  const n = cString(name);
  check(libc.fchownat(directory, ptr(n), uid, gid, atSymlinkNofollow), "fchownat", name);
}

/** Mode of an entry that is not a link. */
export function chmodAt(directory: number, name: string, mode: number): void {
  const n = cString(name);
  check(libc.fchmodat(directory, ptr(n), mode, 0), "fchmodat", name);
}

const timespecs = new BigInt64Array(4);

/** Sets both times of the entry itself. Nanoseconds since 1970. */
export function utimeAt(directory: number, name: string, timeNs: bigint): void {
  const seconds = timeNs / 1_000_000_000n - (timeNs % 1_000_000_000n < 0n ? 1n : 0n);
  const nanoseconds = timeNs - seconds * 1_000_000_000n;
  timespecs.set([seconds, nanoseconds, seconds, nanoseconds]);
  const n = cString(name);
  check(libc.utimensat(directory, ptr(n), ptr(timespecs), atSymlinkNofollow), "utimensat", name);
}

/** Sets an extended attribute of `name` in an open directory; the entry itself, links not followed. */
export function setXattrAt(directory: number, name: string, key: string, value: Uint8Array): void {
  const [path, k] = [cString(`/proc/self/fd/${directory}/${name}`), cString(key)];
  const bytes = value.byteLength === 0 ? Buffer.alloc(1) : Buffer.from(value);
  check(libc.lsetxattr(ptr(path), ptr(k), ptr(bytes), value.byteLength, 0), "lsetxattr", `${name} ${key}`);
}

/** All extended attributes of a path; links are not followed. */
export function listXattrs(path: string): Map<string, Uint8Array> {
  const p = cString(path);
  const names = Buffer.alloc(65_536);
  const length = Number(libc.llistxattr(ptr(p), ptr(names), names.byteLength));
  const found = new Map<string, Uint8Array>();
  if (length <= 0) return found;
  const value = Buffer.alloc(65_536);
  for (const key of names.toString("utf8", 0, length).split("\0")) {
    if (key === "") continue;
    const k = cString(key);
    const size = Number(libc.lgetxattr(ptr(p), ptr(k), ptr(value), value.byteLength));
    if (size >= 0) found.set(key, Uint8Array.from(value.subarray(0, size)));
  }
  return found;
}

/** Waits until a directory's entries are on disk. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Waits until everything written to the file system of `path` is on disk, others' writes included: that can be seconds,
 * so a process of its own waits in the system call, and this one goes on serving. @throws Error when the disk failed
 */
export async function syncFileSystem(path: string): Promise<void> {
  const program = Bun.which("sync");
  if (program === null) return syncFileSystemHere(path);
  const child = Bun.spawn([program, "-f", path], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const [code, complaint] = await Promise.all([child.exited, new Response(child.stderr).text()]);
  if (code !== 0) throw new Error(`cannot flush ${path} to disk: ${complaint.trim() || `sync ended with ${code}`}`);
}

function syncFileSystemHere(path: string): void {
  const fd = openSync(path, "r");
  try {
    check(libc.syncfs(fd), "syncfs", path);
  } finally {
    closeSync(fd);
  }
}

/** A lock on a file, held until disposed or the process ends, however it ends. null when somebody holds it. */
export function tryLock(path: string, note: string): Disposable | null {
  const fd = openSync(path, "a+", 0o600);
  if (libc.flock(fd, lockExclusive | lockNonBlocking) !== 0) {
    closeSync(fd);
    return null;
  }
  ftruncateSync(fd, 0);
  writeSync(fd, note);
  return { [Symbol.dispose]: () => closeSync(fd) };
}
