import { Semaphore } from "#base/concurrency.ts";
import { EngineError } from "#base/errors.ts";
import { chainIds, type Digest, digestOf } from "#spec/oci/digest.ts";
import { type ImageConfig, mediaTypes } from "#spec/oci/image.ts";
import { parseImageConfig } from "#spec/oci/parse.ts";
import { compressionOf, decompress } from "#store/diff/decompress.ts";
import type { LayerRow } from "./image-rows.ts";
import { type Hold, type ImageRooms, once, type ReadyImage } from "./image-store.ts";

/** An image whose parts are blobs of the store. */
export interface BlobImage {
  readonly config: Digest;
  /** The manifest as it came; null when there was none (docker-archive). */
  readonly manifest: Digest | null;
  /** `mediaType` is empty when nothing said it. */
  readonly layers: readonly LayerRow[];
  /** Familiar names with tags. */
  readonly names: readonly string[];
}

/** Layers unpacked at once, of all loads together. */
const unpacking = new Semaphore(4);
/** One layer may inflate to this much, 64 GiB: more is a bomb. */
const layerBytesMax = 64 * 2 ** 30;

/**
 * Imports an image's layers into the snapshotter and writes its manifest if it has none. Nothing is known of it yet.
 * @throws EngineError `corrupt`, `invalid`
 */
export async function unpackImage(rooms: ImageRooms, image: BlobImage, hold: Hold): Promise<ReadyImage> {
  hold.blob(image.config);
  for (const layer of image.layers) hold.blob(layer.digest);
  if (image.manifest !== null) hold.blob(image.manifest);
  const config = parseImageConfig(await rooms.content.read(image.config));
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== image.layers.length) {
    throw new EngineError(
      "invalid",
      image.config,
      `invalid image: config has ${diffIds.length} layers, archive has ${image.layers.length}`,
    );
  }
  const layers = await Promise.all(image.layers.map((layer) => describe(rooms, layer)));
  const size = await importLayers(rooms, config, layers, hold);
  const manifest = image.manifest ?? (await writeManifest(rooms, image.config, layers, hold));
  return { row: { id: image.config, manifest, layers, size, addedAt: Date.now() }, config, names: image.names };
}

async function describe(rooms: ImageRooms, { digest, size, mediaType }: LayerRow): Promise<LayerRow> {
  if (mediaType !== "") return { digest, size, mediaType };
  const types = { none: mediaTypes.ociLayer, gzip: mediaTypes.ociLayerGzip, zstd: mediaTypes.ociLayerZstd };
  for await (const head of rooms.content.stream(digest)) return { digest, size, mediaType: types[compressionOf(head)] };
  return { digest, size, mediaType: mediaTypes.ociLayer };
}

/** Imports the layers that are not there, some at once. @returns bytes of all unpacked layers */
async function importLayers(
  { content, snapshots }: ImageRooms,
  config: ImageConfig,
  layers: readonly LayerRow[],
  hold: Hold,
): Promise<number> {
  const chains = chainIds(config.rootfs.diff_ids);
  for (const chain of chains) hold.chain(chain);
  let failed = false;
  const imports = config.rootfs.diff_ids.map((diffId, index) =>
    unpacking.run(async () => {
      const [chain, layer] = [chains[index], layers[index]];
      if (failed || chain === undefined || layer === undefined) return 0;
      try {
        const tar = decompress(content.stream(layer.digest), layerBytesMax);
        const parent = chains[index - 1] ?? null;
        return (await snapshots.importLayer({ chain, parent, diffId, tar })).sizeBytes;
      } catch (error) {
        failed = true;
        throw error;
      }
    }),
  );
  // All have ended when this throws: nothing is written any more once the hold ends.
  const outcomes = await Promise.allSettled(imports);
  return outcomes.reduce((sum, outcome) => {
    if (outcome.status === "rejected") throw outcome.reason;
    return sum + outcome.value;
  }, 0);
}

async function writeManifest(
  { content }: ImageRooms,
  config: Digest,
  layers: readonly LayerRow[],
  hold: Hold,
): Promise<Digest> {
  const size = (await content.stat(config))?.size ?? 0;
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: mediaTypes.ociConfig, digest: config, size },
      layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
    }),
  );
  return (await hold.ingest(once(bytes), { digest: digestOf(bytes), size: bytes.byteLength })).digest;
}
