/** Tar archives as entries and bodies. @see POSIX pax(1) interchange format; GNU tar manual, "Basic Tar Format" */

export type TarEntryType = "file" | "hardlink" | "symlink" | "char" | "block" | "directory" | "fifo";

export interface TarEntry {
  /** As the archive has it: may be absolute, hold `..` or end in `/`. Data, never a path to open. */
  readonly name: string;
  readonly type: TarEntryType;
  /** Target of a hard or symbolic link. */
  readonly linkName: string;
  /** The lower 12 bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  /** Nanoseconds since 1970. */
  readonly mtimeNs: bigint;
  readonly devMajor: number;
  readonly devMinor: number;
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

/** Bytes of a tar block; headers and bodies are padded to it. */
export const blockSize = 512;

/** Names of extended attributes in pax records. */
export const xattrPrefix = "SCHILY.xattr.";

/** An entry with the fields that most have. */
export function tarEntry(entry: Pick<TarEntry, "name" | "type"> & Partial<TarEntry>): TarEntry {
  return {
    linkName: "",
    mode: entry.type === "directory" ? 0o755 : entry.type === "symlink" ? 0o777 : 0o644,
    uid: 0,
    gid: 0,
    sizeBytes: 0,
    mtimeNs: 0n,
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map(),
    ...entry,
  };
}
