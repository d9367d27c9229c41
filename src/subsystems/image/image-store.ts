import { EngineError } from "#base/errors.ts";
import type { Logger } from "#base/log.ts";
import { chainIds, type Digest, digestOf, isDigest } from "#spec/oci/digest.ts";
import { type ImageConfig, mediaTypes } from "#spec/oci/image.ts";
import { parseImageConfig } from "#spec/oci/parse.ts";
import { familiarString, parseReference, withDefaultTag } from "#spec/reference/reference.ts";
import type { ContentStore } from "#store/content/content.ts";
import { compressionOf, decompress } from "#store/diff/decompress.ts";
import type { Metadata } from "#store/metadata/metadata.ts";
import type { Snapshotter } from "#store/snapshot/snapshot.ts";
import type { ArchivedImage } from "./archive.ts";
import type { ImageNews, ImageUsers, ResolvedImage } from "./image.ts";
import { type ImageRow, ImageRows, type LayerRow } from "./image-rows.ts";

export interface ImageRooms {
  readonly metadata: Metadata;
  readonly content: ContentStore;
  readonly snapshots: Snapshotter;
  readonly users: ImageUsers;
  readonly news: (news: ImageNews) => void;
  readonly log: Logger;
}

/** Layers unpacked at once. */
const parallelLayersMax = 4;
/** One layer may inflate to this much, 64 GiB: more is a bomb. */
const layerBytesMax = 64 * 2 ** 30;

/** Blobs, layers and rows of images kept together: what is added comes whole, what goes leaves nothing. */
export class ImageStore {
  readonly rows: ImageRows;
  readonly #configs = new Map<Digest, ImageConfig>();
  /** Digests that loads under way need; the collector spares them. */
  readonly #held = new Map<Digest, number>();

  constructor(readonly rooms: ImageRooms) {
    this.rows = new ImageRows(rooms.metadata);
  }

  /** Runs `work`; blobs it holds are safe until it ends, and those that no image took are removed then. */
  async whileHolding<T>(work: (hold: (digest: Digest) => void) => Promise<T>): Promise<T> {
    const mine: Digest[] = [];
    try {
      return await work((digest) => {
        mine.push(digest);
        this.#held.set(digest, (this.#held.get(digest) ?? 0) + 1);
      });
    } finally {
      for (const digest of mine) {
        const count = (this.#held.get(digest) ?? 1) - 1;
        if (count === 0) this.#held.delete(digest);
        else this.#held.set(digest, count);
      }
      await this.collectBlobs(mine);
    }
  }

  /** Finds an image as a user names it. @throws EngineError `not-found`, `invalid` */
  find(nameOrId: string): ImageRow {
    const id = this.#idOf(nameOrId);
    const row = id === null ? null : this.rows.image(id);
    if (row !== null) return row;
    throw new EngineError("not-found", nameOrId, `No such image: ${displayName(nameOrId)}`);
  }

  #idOf(text: string): Digest | null {
    if (isDigest(text)) return text;
    if (!/^(sha256:)?[0-9a-f]{64}$/.test(text)) {
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
    const { digest } = reference;
    if (digest === undefined) return null;
    return this.rows.images().find((image) => image.manifest === digest || image.id === digest)?.id ?? null;
  }

  async config(id: Digest): Promise<ImageConfig> {
    const known = this.#configs.get(id);
    if (known !== undefined) return known;
    const config = parseImageConfig(await this.rooms.content.read(id));
    this.#configs.set(id, config);
    return config;
  }

  async resolve(nameOrId: string): Promise<ResolvedImage> {
    const { id } = this.find(nameOrId);
    const config = await this.config(id);
    return { id, config, chain: chainIds(config.rootfs.diff_ids).at(-1) ?? null };
  }

  /**
   * Unpacks an archived image's layers and then, in one commit, makes it known under its names.
   * Must run inside {@link whileHolding}. @throws EngineError `corrupt`, `invalid`; nothing is known then
   */
  async add(image: ArchivedImage, hold: (digest: Digest) => void): Promise<Digest> {
    const { content } = this.rooms;
    hold(image.config);
    const config = parseImageConfig(await content.read(image.config));
    const diffIds = config.rootfs.diff_ids;
    if (diffIds.length !== image.layers.length) {
      throw new EngineError(
        "invalid",
        image.config,
        `invalid image: config has ${diffIds.length} layers, archive has ${image.layers.length}`,
      );
    }
    for (const layer of image.layers) hold(layer.digest);
    const layers = await Promise.all(image.layers.map((layer) => this.#describe(layer)));
    const size = await this.#unpack(config, layers);
    const manifest = image.manifest ?? (await this.#writeManifest(image.config, layers));
    hold(manifest);
    const orphaned = this.rows.put({ id: image.config, manifest, layers, size, addedAt: Date.now() }, image.names);
    this.#configs.set(image.config, config);
    for (const lost of orphaned) this.rooms.log.debug("an image lost its name", { image: lost });
    return image.config;
  }

  async #describe(layer: ArchivedImage["layers"][number]): Promise<LayerRow> {
    if (layer.mediaType !== "") return { digest: layer.digest, size: layer.size, mediaType: layer.mediaType };
    for await (const head of this.rooms.content.stream(layer.digest)) {
      const types = { none: mediaTypes.ociLayer, gzip: mediaTypes.ociLayerGzip, zstd: mediaTypes.ociLayerZstd };
      return { digest: layer.digest, size: layer.size, mediaType: types[compressionOf(head)] };
    }
    return { digest: layer.digest, size: layer.size, mediaType: mediaTypes.ociLayer };
  }

  /** Imports every layer that is not there, some at once. @returns bytes of the unpacked layers */
  async #unpack(config: ImageConfig, layers: readonly LayerRow[]): Promise<number> {
    const { content, snapshots } = this.rooms;
    const diffIds = config.rootfs.diff_ids;
    const chains = chainIds(diffIds);
    const sizes: number[] = [];
    const queue = layers.map((layer, index) => async () => {
      const [chain, diffId] = [chains[index], diffIds[index]];
      if (chain === undefined || diffId === undefined) throw new Error("layers and diff IDs differ in number");
      const parent = index === 0 ? null : (chains[index - 1] ?? null);
      const tar = decompress(content.stream(layer.digest), layerBytesMax);
      sizes[index] = (await snapshots.importLayer({ chain, parent, diffId, tar })).sizeBytes;
    });
    const failures: unknown[] = [];
    const lanes = Array.from({ length: Math.min(parallelLayersMax, queue.length) }, async () => {
      for (let work = queue.shift(); work !== undefined && failures.length === 0; work = queue.shift()) {
        await work().catch((error: unknown) => failures.push(error));
      }
    });
    await Promise.all(lanes);
    if (failures.length > 0) {
      await this.collectSnapshots(chains);
      throw failures[0];
    }
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  async #writeManifest(config: Digest, layers: readonly LayerRow[]): Promise<Digest> {
    const info = await this.rooms.content.stat(config);
    const manifest = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: mediaTypes.ociConfig, digest: config, size: info?.size ?? 0 },
      layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
    };
    const bytes = Buffer.from(JSON.stringify(manifest));
    const { digest } = await this.rooms.content.ingest(once(bytes), {
      digest: digestOf(bytes),
      size: bytes.byteLength,
    });
    return digest;
  }

  /** Takes an image away with everything that no other image needs. */
  async drop(image: ImageRow): Promise<void> {
    const config = await this.config(image.id);
    this.rows.removeImage(image.id);
    this.#configs.delete(image.id);
    await this.collectSnapshots(chainIds(config.rootfs.diff_ids));
    await this.collectBlobs([image.id, image.manifest, ...image.layers.map((layer) => layer.digest)]);
  }

  /** Removes those of `chains` (bottom first) that no image has and nothing lies on. */
  async collectSnapshots(chains: readonly string[]): Promise<void> {
    const needed = new Set<string>();
    for (const image of this.rows.images()) {
      for (const chain of chainIds((await this.config(image.id)).rootfs.diff_ids)) needed.add(chain);
    }
    for (const chain of [...chains].reverse()) {
      if (needed.has(chain)) continue;
      try {
        await this.rooms.snapshots.remove(chain);
      } catch (error) {
        // A load under way or a container lies on it: it stays.
        this.rooms.log.debug("snapshot stays", { chain, error });
        return;
      }
    }
  }

  async collectBlobs(candidates: readonly Digest[]): Promise<void> {
    const needed = new Set<Digest>(this.#held.keys());
    for (const image of this.rows.images())
      for (const digest of [image.id, image.manifest, ...image.layers.map((layer) => layer.digest)]) needed.add(digest);
    for (const digest of new Set(candidates)) if (!needed.has(digest)) await this.rooms.content.remove(digest);
  }

  /** Blobs and snapshots that no image has: what a crash in the middle of a load left. Called once at start. */
  async sweep(): Promise<void> {
    const stray: Digest[] = [];
    for await (const blob of this.rooms.content.list()) stray.push(blob.digest);
    await this.collectBlobs(stray);
    const committed = (await this.rooms.snapshots.list()).filter((snapshot) => snapshot.kind === "committed");
    const depth = new Map(committed.map((snapshot) => [snapshot.name, snapshot.parent as string | null]));
    const depthOf = (name: string): number => {
      const parent = depth.get(name);
      return parent == null ? 0 : 1 + depthOf(parent);
    };
    const bottomFirst = [...depth.keys()].sort((a, b) => depthOf(a) - depthOf(b));
    for (const chain of bottomFirst.reverse()) await this.collectSnapshots([chain]);
  }
}

/** How Docker spells a name in "No such image". */
function displayName(text: string): string {
  try {
    return /^(sha256:)?[0-9a-f]{12,64}$/.test(text) ? text : familiarString(withDefaultTag(parseReference(text)));
  } catch {
    return text;
  }
}

/** One chunk as a stream. */
export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
