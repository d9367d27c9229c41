import type { Digest } from "#spec/oci/digest.ts";

/** What is known beforehand of a blob that comes in. */
export interface ExpectedBlob {
  readonly digest: Digest;
  readonly size?: number;
}

export interface BlobInfo {
  readonly digest: Digest;
  readonly size: number;
}

/**
 * Blobs by digest, one copy of each, under `<data-root>/content/blobs/sha256/<hex>`.
 * A blob is visible only when whole: written to a temporary file while it is hashed, fsynced, renamed, directory fsynced.
 * What an interrupted ingest leaves is removed at the next start.
 */
export interface ContentStore {
  /**
   * Stores the bytes of `source` and returns their digest and size. If the blob is already there, drains nothing and
   * returns at once when `expected` names it.
   * @throws EngineError `corrupt` when digest or size differ from `expected`; nothing is kept then
   */
  ingest(source: AsyncIterable<Uint8Array>, expected?: ExpectedBlob): Promise<BlobInfo>;
  /** @returns null when absent */
  stat(digest: Digest): Promise<BlobInfo | null>;
  /** Bytes of a blob in chunks, from `offset`. @throws EngineError `not-found` */
  stream(digest: Digest, offset?: number): AsyncIterable<Uint8Array>;
  /** A whole small blob (manifest, config). @throws EngineError `not-found`; `invalid` when larger than `maxBytes` */
  read(digest: Digest, maxBytes?: number): Promise<Uint8Array>;
  /** The blob is gone when the call returns its promise, its bytes are when that resolves. Idempotent. */
  remove(digest: Digest): Promise<void>;
  list(): AsyncIterable<BlobInfo>;
}
