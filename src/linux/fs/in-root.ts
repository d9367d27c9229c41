/**
 * Paths inside a container's tree. Every look-up goes through openat2 with RESOLVE_IN_ROOT: symbolic links and `..` are
 * read as if the root were `/`, so no path can lead out, whatever the tree holds or turns into meanwhile.
 * @see openat2(2)
 */
import { ptr, FFIType as T } from "bun:ffi";
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { constants as systemConstants } from "node:os";
import { check, cString, errno, openLibc, SyscallError } from "../libc.ts";

const libc = openLibc({
  syscall: { args: [T.i64, T.i64, T.ptr, T.ptr, T.u64], returns: T.i64 },
  mkdirat: { args: [T.i32, T.ptr, T.u32], returns: T.i32 },
});

const sysOpenat2 = 437;
const resolveNoMagiclinks = 0x02;
const resolveInRoot = 0x10;
/** A rename elsewhere can make the kernel unsure whether `..` stayed inside: it says EAGAIN, and one asks again. */
const attemptsMax = 64;
const oPath = 0o10000000;
const oCloexec = 0o2000000;
const oDirectory = constants.O_DIRECTORY;

/** An open directory that stands for `/` of a container. Dispose it. */
export class RootDirectory implements Disposable {
  readonly fd: number;

  /** @throws Node's error when `path` is no directory */
  constructor(readonly path: string) {
    this.fd = openSync(path, oPath | oDirectory);
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }

  /** Opens `path` inside the root. `flags` as open(2). @returns a descriptor, close-on-exec @throws SyscallError */
  open(path: string, flags: number, mode = 0): number {
    const how = new BigUint64Array([
      BigInt(flags | oCloexec),
      BigInt(mode),
      BigInt(resolveInRoot | resolveNoMagiclinks),
    ]);
    const name = cString(path === "" ? "." : path);
    for (let attempt = 1; ; attempt++) {
      const fd = libc.syscall(BigInt(sysOpenat2), BigInt(this.fd), ptr(name), ptr(how), BigInt(how.byteLength));
      if (fd < 0n && attempt < attemptsMax && errno() === systemConstants.errno.EAGAIN) continue;
      return check(fd, "openat2", path);
    }
  }

  /** A descriptor that only names the file (O_PATH), null when there is nothing. */
  lookUp(path: string, options: { noFollow?: boolean } = {}): number | null {
    try {
      return this.open(path, oPath | (options.noFollow === true ? constants.O_NOFOLLOW : 0));
    } catch (error) {
      if (error instanceof SyscallError && (error.code === "ENOENT" || error.code === "ENOTDIR")) return null;
      throw error;
    }
  }

  /** A regular file's text, null when absent. @throws Error when it is larger than `maxBytes` or no regular file */
  readText(path: string, maxBytes: number): string | null {
    const named = this.lookUp(path);
    if (named === null) return null;
    closeSync(named);
    const fd = this.open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile()) throw new Error(`${path} is not a regular file`);
      if (stat.size > maxBytes) throw new Error(`${path} is larger than ${maxBytes} bytes`);
      const bytes = Buffer.alloc(stat.size);
      let filled = 0;
      while (filled < bytes.byteLength) {
        const got = readSync(fd, bytes, filled, bytes.byteLength - filled, filled);
        if (got === 0) break;
        filled += got;
      }
      return bytes.toString("utf8", 0, filled);
    } finally {
      closeSync(fd);
    }
  }

  /**
   * Makes the directory and its missing parents inside the root.
   * @returns whether the last one is new, and a descriptor (O_PATH) of it
   * @throws SyscallError `ENOTDIR` when a part is something else
   */
  makeDirectory(path: string, mode = 0o755): { fd: number; created: boolean } {
    let walked = "";
    let created = false;
    let fd = this.open(".", oPath | oDirectory);
    for (const part of path.split("/").filter((name) => name !== "" && name !== ".")) {
      const parent = fd;
      try {
        walked = `${walked}/${part}`;
        ({ fd, created } = this.#step(walked, part, parent, mode));
      } finally {
        closeSync(parent);
      }
    }
    return { fd, created };
  }

  #step(walked: string, part: string, parent: number, mode: number): { fd: number; created: boolean } {
    try {
      return { fd: this.open(walked, oPath | oDirectory), created: false };
    } catch (error) {
      if (!(error instanceof SyscallError) || error.code !== "ENOENT") throw error;
    }
    const name = cString(part);
    let created = true;
    try {
      check(libc.mkdirat(parent, ptr(name), mode), "mkdirat", walked);
    } catch (error) {
      if (!(error instanceof SyscallError) || error.code !== "EEXIST") throw error;
      created = false;
    }
    return { fd: this.open(walked, oPath | oDirectory), created };
  }
}

/** The kernel's path to what a descriptor names; good for calls that take only paths. */
export function descriptorPath(fd: number): string {
  return `/proc/self/fd/${fd}`;
}
