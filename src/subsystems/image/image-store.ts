import { EngineError, isEngineError } from "#base/errors.ts";
import type { Logger } from "#base/log.ts";
import { type ChainId, chainIds, type Digest, isDigest } from "#spec/oci/digest.ts";
import type { ImageConfig } from "#spec/oci/image.ts";
import { parseImageConfig } from "#spec/oci/parse.ts";
import { familiarString, parseReference, withDefaultTag } from "#spec/reference/reference.ts";
import type { BlobInfo, ContentStore, ExpectedBlob } from "#store/content/content.ts";
import type { Metadata } from "#store/metadata/metadata.ts";
import type { Snapshotter } from "#store/snapshot/snapshot.ts";
import { Claims } from "./claims.ts";
import type { ImageNews, ImageUsers, ResolvedImage } from "./image.ts";
import { type ImageRow, ImageRows } from "./image-rows.ts";

export interface ImageRooms {
  readonly metadata: Metadata;
  readonly content: ContentStore;
  readonly snapshots: Snapshotter;
  readonly users: ImageUsers;
  readonly news: (news: ImageNews) => void;
  readonly log: Logger;
}

/** What one load, import or save holds on to until it ends. */
export interface Hold {
  blob(digest: Digest): void;
  chain(chain: ChainId): void;
  /** Stores a blob that no collection can take away before the hold ends. */
  ingest(source: AsyncIterable<Uint8Array>, expected?: ExpectedBlob): Promise<BlobInfo>;
}

/** An image that is whole on disk and not yet known. */
export interface ReadyImage {
  readonly row: ImageRow;
  readonly config: ImageConfig;
  readonly names: readonly string[];
}

/** Blobs, layers and rows of images kept together: what is added comes whole, what goes leaves nothing. */
export class ImageStore {
  readonly rows: ImageRows;
  /** Of every image in the rows, so that look-ups on the path of `run` touch no file. */
  readonly #configs = new Map<Digest, ImageConfig>();
  readonly #blobs = new Claims<Digest>();
  readonly #chains = new Claims<ChainId>();
  /** Blobs being written whose digest is not known yet: each may turn out to be any stray. */
  #unnamedIngests = 0;

  private constructor(readonly rooms: ImageRooms) {
    this.rows = new ImageRows(rooms.metadata);
  }

  /** Reads every image's config, and removes the blobs and layers that a crash left without an image. */
  static async open(rooms: ImageRooms): Promise<ImageStore> {
    const store = new ImageStore(rooms);
    for (const row of store.rows.images()) {
      try {
        store.#claim(row, parseImageConfig(await rooms.content.read(row.id)));
      } catch (error) {
        // Nothing can be run or saved from it; a store that does not open because of it would be worse.
        rooms.log.error("an image's config is damaged: the image is removed", { image: row.id, error });
        store.rows.removeImage(row.id);
      }
    }
    for await (const blob of rooms.content.list()) store.#blobs.found(blob.digest);
    for (const { kind, name } of await rooms.snapshots.list())
      if (kind === "committed") store.#chains.found(name as ChainId);
    await store.collect();
    return store;
  }

  /** Finds an image as a user names it. @throws EngineError `not-found`, `invalid` */
  find(nameOrId: string): ImageRow {
    const id = this.#idOf(nameOrId);
    const row = id === null ? null : this.rows.image(id);
    if (row !== null) return row;
    throw new EngineError("not-found", nameOrId, `No such image: ${displayName(nameOrId)}`);
  }

  #idOf(text: string): Digest | null {
    if (isDigest(text)) return this.#byDigest(text);
    if (!/^[0-9a-f]{64}$/.test(text)) {
      const named = this.#byName(text);
      if (named !== null) return named;
    }
    const hex = text.replace(/^sha256:/, "");
    if (!/^[0-9a-f]{1,64}$/.test(hex)) return null;
    const ids = this.rows.idsWithPrefix(hex);
    if (ids.length > 1) throw new EngineError("invalid", text, `multiple IDs found with provided prefix: ${text}`);
    return ids[0] ?? null;
  }

  #byName(text: string): Digest | null {
    const reference = withDefaultTag(parseReference(text));
    const tagged = this.rows.named(familiarString(reference));
    if (tagged !== null) return tagged.image;
    // `name:tag@digest` and `name@digest`: the digest decides, and may be the manifest's or the config's.
    return reference.digest === undefined ? null : this.#byDigest(reference.digest);
  }

  #byDigest(digest: Digest): Digest | null {
    return this.rows.image(digest)?.id ?? this.rows.withManifest(digest);
  }

  /** @throws EngineError `not-found` */
  config(id: Digest): ImageConfig {
    const config = this.#configs.get(id);
    if (config === undefined) throw new EngineError("not-found", id, `No such image: ${id}`);
    return config;
  }

  /** Names of the committed snapshots of an image, bottom first. */
  chains(id: Digest): ChainId[] {
    return chainIds(this.config(id).rootfs.diff_ids);
  }

  resolve(nameOrId: string): ResolvedImage {
    const { id } = this.find(nameOrId);
    return { id, config: this.config(id), chain: this.chains(id).at(-1) ?? null };
  }

  /** Runs `work`; what it holds is safe until it ends, and what no image took by then is removed. */
  async whileHolding<T>(work: (hold: Hold) => Promise<T>): Promise<T> {
    const held = this.hold();
    try {
      return await work(held);
    } finally {
      await held[Symbol.asyncDispose]();
    }
  }

  hold(): Hold & AsyncDisposable {
    const blobs: Digest[] = [];
    const chains: ChainId[] = [];
    const blob = (digest: Digest): void => {
      blobs.push(digest);
      this.#blobs.add(digest);
    };
    return {
      blob,
      chain: (chain) => {
        chains.push(chain);
        this.#chains.add(chain);
      },
      ingest: async (source, expected) => {
        if (expected !== undefined) {
          blob(expected.digest);
          return this.rooms.content.ingest(source, expected);
        }
        this.#unnamedIngests++;
        try {
          const stored = await this.rooms.content.ingest(source);
          blob(stored.digest);
          return stored;
        } finally {
          this.#unnamedIngests--;
        }
      },
      [Symbol.asyncDispose]: async () => {
        for (const digest of blobs.splice(0)) this.#blobs.drop(digest);
        for (const chain of chains.splice(0)) this.#chains.drop(chain);
        await this.collect();
      },
    };
  }

  #claim(row: ImageRow, config: ImageConfig): void {
    this.#configs.set(row.id, config);
    for (const digest of blobsOf(row)) this.#blobs.add(digest);
    for (const chain of chainIds(config.rootfs.diff_ids)) this.#chains.add(chain);
  }

  /**
   * Makes images known under their names, all in one commit; the caller holds their parts.
   * @returns names that belonged to another image before
   */
  publish(images: readonly ReadyImage[]): { name: string; before: Digest }[] {
    const moved = this.rooms.metadata.transaction(() => images.flatMap(({ row, names }) => this.rows.put(row, names)));
    for (const { row, config } of images) if (!this.#configs.has(row.id)) this.#claim(row, config);
    return moved;
  }

  /** Forgets an image and its names; {@link collect} removes the bytes. @returns layers nobody needs any more, topmost first */
  forget(image: ImageRow): ChainId[] {
    const chains = this.chains(image.id).reverse();
    this.rows.removeImage(image.id);
    this.#configs.delete(image.id);
    for (const digest of blobsOf(image)) this.#blobs.drop(digest);
    for (const chain of chains) this.#chains.drop(chain);
    return chains.filter((chain) => !this.#chains.has(chain));
  }

  /** Removes the bytes that nobody needs. What is still in use (a container's layers) waits for the next time. @returns bytes freed */
  async collect(): Promise<number> {
    return (await this.#collectChains()) + (await this.#collectBlobs());
  }

  async #collectChains(): Promise<number> {
    let freed = 0;
    // A layer goes only after those that lie on it, so each round may open the way for another.
    for (let progress = true; progress; ) {
      progress = false;
      for (const chain of this.#chains.strays()) {
        const info = await this.rooms.snapshots.stat(chain);
        if (!(await this.#removeStray(this.#chains, chain, (key) => this.rooms.snapshots.remove(key)))) continue;
        progress = true;
        freed += info?.sizeBytes ?? 0;
      }
    }
    return freed;
  }

  async #collectBlobs(): Promise<number> {
    let freed = 0;
    for (const digest of this.#blobs.strays()) {
      const info = await this.rooms.content.stat(digest);
      if (this.#unnamedIngests > 0) break;
      if (await this.#removeStray(this.#blobs, digest, (key) => this.rooms.content.remove(key)))
        freed += info?.size ?? 0;
    }
    return freed;
  }

  /** From the look at the claims to the removal's own first step nothing else runs. @returns whether it went */
  async #removeStray<Key extends string>(
    claims: Claims<Key>,
    key: Key,
    remove: (key: Key) => Promise<void>,
  ): Promise<boolean> {
    if (!claims.takeStray(key)) return false;
    try {
      await remove(key);
      return true;
    } catch (error) {
      claims.found(key);
      if (!isEngineError(error, "conflict")) this.rooms.log.error("cannot remove an image's part", { key, error });
      return false;
    }
  }
}

function blobsOf(row: ImageRow): Digest[] {
  return [row.id, row.manifest, ...row.layers.map((layer) => layer.digest)];
}

/** How Docker spells a name in "No such image". */
function displayName(text: string): string {
  if (isDigest(text)) return text;
  if (/^[0-9a-f]{64}$/.test(text)) return `sha256:${text}`;
  return familiarString(withDefaultTag(parseReference(text)));
}

/** One chunk as a stream. */
export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
