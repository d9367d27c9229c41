/**
 * Writes a layer's tar into a directory that becomes an overlay layer. The tar is data: names are taken apart, and every
 * step goes by the descriptor of a directory that was opened without following links, so nothing lands outside.
 * @see OCI image-spec layer.md, "Applying Changesets" and "Whiteouts"; overlayfs.rst, "whiteouts and opaque directories"
 */
import { closeSync, constants, openSync, readdirSync, writeSync } from "node:fs";
import { EngineError, errorMessage } from "#base/errors.ts";
import {
  chmodAt,
  chownAt,
  fileType,
  linkAt,
  mkdirAt,
  mknodAt,
  openAt,
  setXattrAt,
  symlinkAt,
  unlinkAt,
  utimeAt,
} from "#linux/fs/files.ts";
import { SyscallError } from "#linux/libc.ts";
import { readTar } from "#spec/tar/read.ts";
import type { TarEntry } from "#spec/tar/tar.ts";

const whiteoutPrefix = ".wh.";
const opaqueName = ".wh..wh..opq";
const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

export interface Applied {
  /** Bytes of regular files. */
  readonly sizeBytes: number;
}

/**
 * Applies `tar` (uncompressed) to the empty directory `root`.
 * @throws EngineError `invalid` naming the entry that cannot be applied; what was written so far stays for the caller to remove
 */
export async function applyLayer(root: string, tar: AsyncIterable<Uint8Array>): Promise<Applied> {
  using writer = new LayerWriter(root);
  for await (const { entry, body } of readTar(tar)) {
    try {
      await writer.apply(entry, body);
    } catch (error) {
      if (error instanceof EngineError) throw error;
      throw new EngineError("invalid", entry.name, `cannot apply "${entry.name}": ${errorMessage(error)}`, {
        cause: error,
      });
    }
  }
  writer.finishDirectories();
  return { sizeBytes: writer.sizeBytes };
}

/** Components of an entry's name below the root; `..` never climbs. */
function partsOf(name: string): string[] {
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return parts;
}

class LayerWriter implements Disposable {
  sizeBytes = 0;
  readonly #rootFd: number;
  /** The directory written to last: most entries come directory by directory. */
  #parent: { path: string; fd: number } | null = null;
  /** Times of directories are set at the end; making entries in them changes them. */
  readonly #directoryTimes = new Map<string, bigint>();

  constructor(root: string) {
    this.#rootFd = openSync(root, directoryFlags);
  }

  [Symbol.dispose](): void {
    this.#forgetParent();
    closeSync(this.#rootFd);
  }

  #forgetParent(): void {
    if (this.#parent !== null) closeSync(this.#parent.fd);
    this.#parent = null;
  }

  /** Opens a directory below the root, making what is missing; a link or file in the way is replaced by a directory. */
  #openDirectory(parts: readonly string[]): number {
    const path = parts.join("/");
    if (this.#parent?.path === path) return this.#parent.fd;
    let fd = openAt(this.#rootFd, ".", directoryFlags);
    for (const part of parts) {
      const parent = fd;
      try {
        fd = openOrMakeDirectory(parent, part);
      } finally {
        closeSync(parent);
      }
    }
    this.#forgetParent();
    this.#parent = { path, fd };
    return fd;
  }

  async apply(entry: TarEntry, body: AsyncIterable<Uint8Array>): Promise<void> {
    const parts = partsOf(entry.name);
    const name = parts.pop();
    if (name === undefined) {
      if (entry.type === "directory") this.#setAttributes(this.#rootFd, ".", entry, "");
      return;
    }
    const directory = this.#openDirectory(parts);
    if (name.startsWith(whiteoutPrefix)) {
      this.#whiteout(directory, name);
      return;
    }
    const path = [...parts, name].join("/");
    this.#clear(directory, name, entry, path);
    await this.#make(directory, name, entry, body);
    this.#setAttributes(directory, name, entry, path);
  }

  #whiteout(directory: number, name: string): void {
    if (name === opaqueName) {
      setXattrAt(directory, ".", "trusted.overlay.opaque", Buffer.from("y"));
      return;
    }
    // Names of AUFS's own bookkeeping.
    if (name.startsWith(".wh..wh.")) return;
    const hidden = name.slice(whiteoutPrefix.length);
    if (hidden === "" || hidden === "." || hidden === "..")
      throw new EngineError("invalid", name, `invalid whiteout "${name}"`);
    this.#removeEntry(directory, hidden);
    mknodAt(directory, hidden, fileType.char, 0, 0);
  }

  /** A later entry replaces an earlier one; a directory over a directory keeps its contents. */
  #clear(directory: number, name: string, entry: TarEntry, path: string): void {
    if (entry.type === "directory" && isDirectory(directory, name)) return;
    this.#removeEntry(directory, name);
    for (const known of this.#directoryTimes.keys())
      if (known === path || known.startsWith(`${path}/`)) this.#directoryTimes.delete(known);
    if (this.#parent !== null && (this.#parent.path === path || this.#parent.path.startsWith(`${path}/`)))
      this.#forgetParent();
  }

  #removeEntry(directory: number, name: string): void {
    try {
      unlinkAt(directory, name, false);
    } catch (error) {
      if (!(error instanceof SyscallError) || error.code === "ENOENT") return;
      if (error.code !== "EISDIR" && error.code !== "EPERM") throw error;
      removeTree(directory, name);
    }
  }

  async #make(directory: number, name: string, entry: TarEntry, body: AsyncIterable<Uint8Array>): Promise<void> {
    switch (entry.type) {
      case "directory":
        if (!isDirectory(directory, name)) mkdirAt(directory, name, 0o700);
        return;
      case "file":
        await this.#writeFile(directory, name, body);
        return;
      case "symlink":
        symlinkAt(entry.linkName, directory, name);
        return;
      case "hardlink":
        this.#link(directory, name, entry);
        return;
      case "char":
        mknodAt(directory, name, fileType.char | 0o600, entry.devMajor, entry.devMinor);
        return;
      case "block":
        mknodAt(directory, name, fileType.block | 0o600, entry.devMajor, entry.devMinor);
        return;
      case "fifo":
        mknodAt(directory, name, fileType.fifo | 0o600);
    }
  }

  async #writeFile(directory: number, name: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const fd = openAt(directory, name, flags, 0o600);
    try {
      for await (const chunk of body) {
        this.sizeBytes += chunk.byteLength;
        for (let offset = 0; offset < chunk.byteLength; ) offset += writeSync(fd, chunk, offset);
      }
    } finally {
      closeSync(fd);
    }
  }

  /** The target must be in this layer already and is reached without following links. */
  #link(directory: number, name: string, entry: TarEntry): void {
    const parts = partsOf(entry.linkName);
    const target = parts.pop();
    if (target === undefined) throw new EngineError("invalid", entry.name, `hard link "${entry.name}" has no target`);
    let fd = openAt(this.#rootFd, ".", directoryFlags);
    try {
      for (const part of parts) {
        const parent = fd;
        fd = openAt(parent, part, directoryFlags);
        closeSync(parent);
      }
      linkAt(fd, target, directory, name);
    } finally {
      closeSync(fd);
    }
  }

  #setAttributes(directory: number, name: string, entry: TarEntry, path: string): void {
    if (entry.type === "hardlink") return;
    chownAt(directory, name, entry.uid, entry.gid);
    // After chown, which clears the setuid bits; before the times.
    if (entry.type !== "symlink") chmodAt(directory, name, entry.mode);
    for (const [key, value] of entry.xattrs) {
      // What overlayfs itself reads must not come from an image.
      if (key.startsWith("trusted.overlay.") || key.startsWith("user.overlay.")) continue;
      setXattrAt(directory, name, key, value);
    }
    if (entry.type === "directory") this.#directoryTimes.set(path, entry.mtimeNs);
    else utimeAt(directory, name, entry.mtimeNs);
  }

  /** Deepest first: setting a child's time does not touch its parent's, but opening goes the same way for all. */
  finishDirectories(): void {
    for (const [path, timeNs] of this.#directoryTimes) {
      const parts = path === "" ? [] : path.split("/");
      const name = parts.pop();
      if (name === undefined) utimeAt(this.#rootFd, ".", timeNs);
      else utimeAt(this.#openDirectory(parts), name, timeNs);
    }
  }
}

function isDirectory(directory: number, name: string): boolean {
  try {
    closeSync(openAt(directory, name, directoryFlags));
    return true;
  } catch {
    return false;
  }
}

function openOrMakeDirectory(parent: number, name: string): number {
  try {
    return openAt(parent, name, directoryFlags);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    // A link or file where a directory is wanted: an earlier entry planted it; it is never followed.
    if (error.code === "ENOTDIR" || error.code === "ELOOP") unlinkAt(parent, name, false);
    else if (error.code !== "ENOENT") throw error;
  }
  mkdirAt(parent, name, 0o755);
  return openAt(parent, name, directoryFlags);
}

/** Removes a directory made by this layer, by descriptors, depth first. */
function removeTree(parent: number, name: string): void {
  const fd = openAt(parent, name, directoryFlags);
  try {
    for (const child of readNames(fd)) {
      try {
        unlinkAt(fd, child, false);
      } catch (error) {
        if (!(error instanceof SyscallError) || (error.code !== "EISDIR" && error.code !== "EPERM")) throw error;
        removeTree(fd, child);
      }
    }
  } finally {
    closeSync(fd);
  }
  unlinkAt(parent, name, true);
}

function readNames(fd: number): string[] {
  return readdirSync(`/proc/self/fd/${fd}`);
}
