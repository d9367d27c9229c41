/**
 * Writes a layer's tar into a directory that becomes an overlay layer. The tar is data: names are taken apart, and every
 * step goes by the descriptor of a directory that was opened with the layer as its root, so nothing lands outside.
 * @see OCI image-spec layer.md, "Applying Changesets" and "Whiteouts"; overlayfs.rst, "whiteouts and opaque directories"
 */
import { closeSync, constants, lstatSync, readdirSync, writeSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { EngineError, errorMessage } from "#base/errors.ts";
import { decodeRawText, encodeRawText } from "#base/raw-text.ts";
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
import { RootDirectory } from "#linux/fs/in-root.ts";
import { SyscallError } from "#linux/libc.ts";
import { readTar } from "#spec/tar/read.ts";
import type { TarEntry } from "#spec/tar/tar.ts";

/** Small entries come many to a chunk; so often everybody else has a turn. */
const turnMs = 8;
const whiteoutPrefix = ".wh.";
const opaqueName = ".wh..wh..opq";
const opaqueAttribute = "trusted.overlay.opaque";
const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY;
/** chown(2) reads the highest number as "leave it". */
const idMax = 0xffff_fffe;

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
  let turnBegan = performance.now();
  for await (const { entry, body } of readTar(tar)) {
    try {
      await writer.apply(entry, body);
    } catch (error) {
      if (error instanceof EngineError) throw error;
      throw new EngineError("invalid", entry.name, `cannot apply "${entry.name}": ${errorMessage(error)}`, {
        cause: error,
      });
    }
    if (performance.now() - turnBegan > turnMs) {
      await nextTurn();
      turnBegan = performance.now();
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
  readonly #root: RootDirectory;
  readonly #rootFd: number;
  /** The directory written to last: most entries come directory by directory. */
  #parent: { path: string; fd: number } | null = null;
  /** Times of directories are set at the end; making entries in them changes them. */
  readonly #directoryTimes = new Map<string, bigint>();

  constructor(root: string) {
    this.#root = new RootDirectory(root);
    this.#rootFd = this.#root.open(".", directoryFlags);
  }

  [Symbol.dispose](): void {
    this.#forgetParent();
    closeSync(this.#rootFd);
    this.#root[Symbol.dispose]();
  }

  #forgetParent(): void {
    if (this.#parent !== null) closeSync(this.#parent.fd);
    this.#parent = null;
  }

  /**
   * Opens a directory below the root, making what is missing. A link of this layer to a directory of this layer is
   * followed, read as if the layer were `/`; any other link or file in the way is replaced by a directory.
   */
  #openDirectory(parts: readonly string[]): number {
    const path = parts.join("/");
    if (this.#parent?.path === path) return this.#parent.fd;
    const fd = this.#openPresent(path) ?? this.#makeParents(parts);
    this.#forgetParent();
    this.#parent = { path, fd };
    return fd;
  }

  #openPresent(path: string): number | null {
    try {
      return this.#root.open(path, directoryFlags);
    } catch (error) {
      if (error instanceof SyscallError && ["ENOENT", "ENOTDIR", "ELOOP"].includes(error.code)) return null;
      throw error;
    }
  }

  #makeParents(parts: readonly string[]): number {
    let fd = this.#root.open(".", directoryFlags);
    for (const [index, part] of parts.entries()) {
      const parent = fd;
      try {
        fd = this.#openPresent(parts.slice(0, index + 1).join("/")) ?? makeAndOpen(parent, part);
      } finally {
        closeSync(parent);
      }
    }
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
      setXattrAt(directory, ".", opaqueAttribute, Buffer.from("y"));
      return;
    }
    // Names of AUFS's own bookkeeping.
    if (name.startsWith(".wh..wh.")) return;
    const hidden = name.slice(whiteoutPrefix.length);
    if (hidden === "" || hidden === "." || hidden === "..")
      throw new EngineError("invalid", name, `invalid whiteout "${name}"`);
    // A whiteout hides what lies below, never what this layer itself holds, whichever comes first.
    const own = kindAt(directory, hidden);
    if (own === "directory") setXattrAt(directory, hidden, opaqueAttribute, Buffer.from("y"));
    else if (own === "absent") mknodAt(directory, hidden, fileType.char, 0, 0);
  }

  /** A later entry replaces an earlier one; a directory over a directory keeps its contents. */
  #clear(directory: number, name: string, entry: TarEntry, path: string): void {
    if (entry.type === "directory" || !this.#removeEntry(directory, name)) return;
    // Rare, and dear with many directories: only when something was there.
    for (const known of this.#directoryTimes.keys())
      if (known === path || known.startsWith(`${path}/`)) this.#directoryTimes.delete(known);
  }

  /** @returns whether there was something */
  #removeEntry(directory: number, name: string): boolean {
    try {
      unlinkAt(directory, name, false);
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      if (error.code === "ENOENT") return false;
      if (error.code !== "EISDIR" && error.code !== "EPERM") throw error;
      removeTree(directory, name);
    }
    return true;
  }

  async #make(directory: number, name: string, entry: TarEntry, body: AsyncIterable<Uint8Array>): Promise<void> {
    switch (entry.type) {
      case "directory":
        makeDirectory(directory, name, 0o700);
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
    const fd = this.#root.open(parts.join("/"), directoryFlags);
    try {
      linkAt(fd, target, directory, name);
    } finally {
      closeSync(fd);
    }
  }

  #setAttributes(directory: number, name: string, entry: TarEntry, path: string): void {
    if (entry.type === "hardlink") return;
    if (!isId(entry.uid) || !isId(entry.gid))
      throw new EngineError("invalid", entry.name, `"${entry.name}": owner ${entry.uid}:${entry.gid} is out of range`);
    chownAt(directory, name, entry.uid, entry.gid);
    // After chown, which clears the setuid bits; before the times.
    if (entry.type !== "symlink") chmodAt(directory, name, entry.mode);
    for (const [key, value] of entry.xattrs) {
      // What overlayfs itself reads must not come from an image.
      if (key.startsWith("trusted.overlay.") || key.startsWith("user.overlay.")) continue;
      setXattrWherePossible(directory, name, key, value);
    }
    if (entry.type === "directory") this.#directoryTimes.set(path, entry.mtimeNs);
    else utimeAt(directory, name, entry.mtimeNs);
  }

  /** Sets what making entries has changed. A directory reached by a link may have been replaced by another name since. */
  finishDirectories(): void {
    this.#forgetParent();
    for (const [path, timeNs] of this.#directoryTimes) {
      const cut = path.lastIndexOf("/");
      const parent = this.#openPresent(cut < 0 ? "" : path.slice(0, cut));
      if (parent === null) continue;
      try {
        const name = path === "" ? "." : path.slice(cut + 1);
        if (kindAt(parent, name) === "directory") utimeAt(parent, name, timeNs);
      } finally {
        closeSync(parent);
      }
    }
  }
}

function isId(id: number): boolean {
  return id >= 0 && id <= idMax;
}

/** As Docker does: what this file system, or this kind of file, cannot carry is left out. */
function setXattrWherePossible(directory: number, name: string, key: string, value: Uint8Array): void {
  try {
    setXattrAt(directory, name, key, value);
  } catch (error) {
    if (!(error instanceof SyscallError) || !["ENOTSUP", "EOPNOTSUPP", "EPERM"].includes(error.code)) throw error;
  }
}

/** What `name` is, a link not followed. */
function kindAt(directory: number, name: string): "absent" | "directory" | "whiteout" | "other" {
  const stat = lstatSync(encodeRawText(`/proc/self/fd/${directory}/${name}`), { throwIfNoEntry: false });
  if (stat === undefined) return "absent";
  if (stat.isDirectory()) return "directory";
  return stat.isCharacterDevice() && stat.rdev === 0 ? "whiteout" : "other";
}

/** Makes a directory where none is. One that takes a whiteout's place goes on hiding what lies below. */
function makeDirectory(parent: number, name: string, mode: number): void {
  const found = kindAt(parent, name);
  if (found === "directory") return;
  if (found !== "absent") unlinkAt(parent, name, false);
  mkdirAt(parent, name, mode);
  if (found === "whiteout") setXattrAt(parent, name, opaqueAttribute, Buffer.from("y"));
}

/** A parent that the layer has no entry for. */
function makeAndOpen(parent: number, name: string): number {
  makeDirectory(parent, name, 0o755);
  // The umask of the daemon is no matter of the image.
  chmodAt(parent, name, 0o755);
  return openAt(parent, name, directoryFlags | constants.O_NOFOLLOW);
}

/** Removes a directory made by this layer, by descriptors, depth first. */
function removeTree(parent: number, name: string): void {
  const fd = openAt(parent, name, directoryFlags | constants.O_NOFOLLOW);
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
  return readdirSync(`/proc/self/fd/${fd}`, { encoding: "buffer" }).map(decodeRawText);
}
