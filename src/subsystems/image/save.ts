import { type Digest, digestOf } from "#spec/oci/digest.ts";
import { mediaTypes } from "#spec/oci/image.ts";
import { parseReference } from "#spec/reference/reference.ts";
import { tarEntry } from "#spec/tar/tar.ts";
import { writeTar } from "#spec/tar/write.ts";
import type { ContentStore } from "#store/content/content.ts";
import type { ImageRow } from "./image-rows.ts";

/** An image to save, with the names that go with it. */
export interface SavedImage {
  readonly row: ImageRow;
  readonly names: readonly string[];
}

type Item = { entry: ReturnType<typeof tarEntry>; body?: AsyncIterable<Uint8Array> | Iterable<Uint8Array> };

const blobPath = (digest: Digest) => `blobs/sha256/${digest.slice("sha256:".length)}`;

/**
 * Several images in one tar that is OCI layout and docker-archive at once, shared layers once. The same images give
 * the same bytes. @see OCI image-spec image-layout.md
 */
export async function* saveArchive(images: readonly SavedImage[], content: ContentStore): AsyncGenerator<Uint8Array> {
  yield* writeTar(items(images, content));
}

async function* items(images: readonly SavedImage[], content: ContentStore): AsyncGenerator<Item> {
  const json = (name: string, value: unknown): Item => {
    const bytes = Buffer.from(JSON.stringify(value));
    return { entry: tarEntry({ name, type: "file", sizeBytes: bytes.byteLength }), body: [bytes] };
  };
  yield { entry: tarEntry({ name: "blobs/", type: "directory" }) };
  yield { entry: tarEntry({ name: "blobs/sha256/", type: "directory" }) };
  const written = new Set<Digest>();
  for (const { row } of images) {
    for (const digest of [...row.layers.map((layer) => layer.digest), row.id, row.manifest]) {
      if (written.has(digest)) continue;
      written.add(digest);
      const size = (await content.stat(digest))?.size ?? 0;
      yield {
        entry: tarEntry({ name: blobPath(digest), type: "file", sizeBytes: size }),
        body: content.stream(digest),
      };
    }
  }
  yield json("index.json", await indexOf(images, content));
  yield json("manifest.json", images.map(dockerManifest));
  yield json("oci-layout", { imageLayoutVersion: "1.0.0" });
  yield json("repositories", repositories(images));
}

async function indexOf(images: readonly SavedImage[], content: ContentStore): Promise<object> {
  const manifests = [];
  for (const { row, names } of images) {
    const bytes = await content.read(row.manifest);
    const { mediaType = mediaTypes.ociManifest } = JSON.parse(new TextDecoder().decode(bytes)) as {
      mediaType?: string;
    };
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.byteLength };
    if (names.length === 0) manifests.push(descriptor);
    for (const name of names) {
      const { domain, path, tag = "latest" } = parseReference(name);
      const annotations = {
        "io.containerd.image.name": `${domain}/${path}:${tag}`,
        "org.opencontainers.image.ref.name": tag,
      };
      manifests.push({ ...descriptor, annotations });
    }
  }
  return { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
}

function dockerManifest({ row, names }: SavedImage): object {
  return {
    Config: blobPath(row.id),
    RepoTags: names.length === 0 ? null : names,
    Layers: row.layers.map((layer) => blobPath(layer.digest)),
  };
}

/** The oldest of the three listings, kept for tools that still look at it. */
function repositories(images: readonly SavedImage[]): Record<string, Record<string, string>> {
  const found: Record<string, Record<string, string>> = {};
  for (const { row, names } of images) {
    const top = row.layers.at(-1)?.digest.slice("sha256:".length) ?? "";
    for (const name of names) {
      const colon = name.lastIndexOf(":");
      const repository = name.slice(0, colon);
      found[repository] = { ...found[repository], [name.slice(colon + 1)]: top };
    }
  }
  return found;
}
