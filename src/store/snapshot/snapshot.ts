import type { ChainId, DiffId } from "#spec/oci/digest.ts";

/**
 * Snapshots. A *committed* snapshot is a read-only stack of layers, named by its chain ID; an *active* one is writable,
 * named by a key (the container's id) and lies on a committed one. Snapshotters return mounts and never mount.
 */
export interface Mount {
  readonly type: "overlay" | "bind" | "erofs";
  readonly source: string;
  /** As mount(8) takes them; `lowerdir` may be long, the mounter must not cut it at a page. */
  readonly options: readonly string[];
}

export interface SnapshotInfo {
  readonly name: string;
  readonly kind: "active" | "committed";
  readonly parent: ChainId | null;
  /** Bytes on disk of this layer alone. */
  readonly sizeBytes: number;
}

export interface Snapshotter {
  /** `overlay`, `erofs` … as `docker info` shows it. */
  readonly driver: string;
  /**
   * Makes a committed snapshot of one layer on `parent` out of its uncompressed tar.
   * Several may run at once, also for the layers of one image: only the last step waits for the parent.
   * Returns at once if `chain` is there already (then `tar` is not read).
   * The tar is data: nothing in it can write outside the layer; whiteouts and opaque directories become overlayfs's own.
   * @throws EngineError `corrupt` when the tar's digest is not `diffId`, `invalid` when it is malformed; nothing is kept then
   * Durable on return.
   * @see OCI image-spec layer.md, Applying Changesets
   */
  importLayer(request: {
    readonly chain: ChainId;
    readonly parent: ChainId | null;
    readonly diffId: DiffId;
    readonly tar: AsyncIterable<Uint8Array>;
  }): Promise<SnapshotInfo>;
  /**
   * Opens a writable snapshot on `parent` (null: an empty root). Copies no bytes. Durable with the next commit, which is
   * its owner's row.
   * @throws EngineError `conflict` if `key` exists; `not-found` if `parent` is absent
   */
  prepare(key: string, parent: ChainId | null): Promise<void>;
  /** The mounts of an active snapshot, in the order to apply them. @throws EngineError `not-found` */
  mounts(key: string): Promise<readonly Mount[]>;
  /** Directory that receives an active snapshot's changes (overlay's upper). @throws EngineError `not-found` */
  upperDirectory(key: string): Promise<string>;
  stat(name: string): Promise<SnapshotInfo | null>;
  /** Bytes on disk that an active snapshot holds now. Walks it. */
  usage(key: string): Promise<number>;
  /**
   * Removes an active or committed snapshot; idempotent. The row goes first, before the call returns its promise, then
   * the bytes (possibly after that has resolved).
   * @throws EngineError `conflict` while another snapshot lies on it
   */
  remove(name: string): Promise<void>;
  list(): Promise<readonly SnapshotInfo[]>;
  /** Removes bytes without a row, left by a crash. Called once at start. */
  sweep(): Promise<void>;
  /** Waits for removals under way. */
  close(): Promise<void>;
}
