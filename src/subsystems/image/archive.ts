/** What an image archive holds: docker-archive and OCI layout, read into blobs first and understood after. */
import { EngineError } from "#base/errors.ts";
import type { Digest } from "#spec/oci/digest.ts";
import { type Descriptor, mediaTypes } from "#spec/oci/image.ts";
import { hostPlatform, parseIndex, parseManifest } from "#spec/oci/parse.ts";
import { familiarString, parseReference, withDefaultTag } from "#spec/reference/reference.ts";
import { readTar } from "#spec/tar/read.ts";
import type { BlobInfo, ContentStore } from "#store/content/content.ts";
import { decompress } from "#store/diff/decompress.ts";

/** One image of an archive, its parts being blobs in the store. */
export interface ArchivedImage {
  readonly config: Digest;
  /** The manifest as it came; null when the archive has none (docker-archive). */
  readonly manifest: Digest | null;
  readonly layers: readonly { readonly digest: Digest; readonly size: number; readonly mediaType: string }[];
  /** Familiar names with tags. */
  readonly names: readonly string[];
}

/** Every regular file of an archive by its name, as a blob. `hold` is told of each digest before it can be collected. */
export async function spoolArchive(
  archive: AsyncIterable<Uint8Array>,
  content: ContentStore,
  hold: (digest: Digest) => void,
): Promise<Map<string, BlobInfo>> {
  const files = new Map<string, BlobInfo>();
  const links: [string, string][] = [];
  for await (const { entry, body } of readTar(decompress(archive))) {
    const name = normalName(entry.name);
    if (entry.type === "file") {
      const named = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name)?.[1];
      const expected = named === undefined ? undefined : { digest: `sha256:${named}` as Digest, size: entry.sizeBytes };
      if (expected !== undefined) hold(expected.digest);
      const blob = await content.ingest(body, expected);
      hold(blob.digest);
      files.set(name, blob);
    } else if (entry.type === "symlink" || entry.type === "hardlink") {
      // Old archives point equal layers at each other: names only, nothing is followed on disk.
      links.push([name, entry.type === "symlink" ? joinName(name, entry.linkName) : normalName(entry.linkName)]);
    }
  }
  for (const [name, target] of links) {
    const blob = files.get(target);
    if (blob !== undefined) files.set(name, blob);
  }
  return files;
}

function normalName(name: string): string {
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts.join("/");
}

function joinName(from: string, target: string): string {
  return target.startsWith("/")
    ? normalName(target)
    : normalName(`${from.split("/").slice(0, -1).join("/")}/${target}`);
}

/** The images of an archive. @throws EngineError `invalid` when it is none, or lacks a file that it names */
export async function imagesOf(files: ReadonlyMap<string, BlobInfo>, content: ContentStore): Promise<ArchivedImage[]> {
  const manifest = files.get("manifest.json");
  if (manifest !== undefined) return dockerImages(await content.read(manifest.digest), files);
  const index = files.get("index.json");
  if (index !== undefined) return ociImages(await content.read(index.digest), content);
  throw new EngineError(
    "invalid",
    "archive",
    "open manifest.json: no such file or directory: the archive holds neither manifest.json nor index.json",
  );
}

function dockerImages(bytes: Uint8Array, files: ReadonlyMap<string, BlobInfo>): ArchivedImage[] {
  const fail = (why: string) => new EngineError("invalid", "manifest.json", `invalid manifest.json: ${why}`);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw fail(error instanceof Error ? error.message : "not JSON");
  }
  if (!Array.isArray(json)) throw fail("not an array");
  const blobOf = (name: unknown): BlobInfo => {
    const blob = typeof name === "string" ? files.get(normalName(name)) : undefined;
    if (blob === undefined) throw fail(`the archive has no file ${JSON.stringify(name)}`);
    return blob;
  };
  return json.map((image: { Config?: unknown; RepoTags?: unknown; Layers?: unknown } | null) => {
    if (image === null || typeof image !== "object") throw fail("an entry is not an object");
    const { Config: config, RepoTags: tags, Layers: layers } = image;
    if (layers !== null && layers !== undefined && !Array.isArray(layers)) throw fail("Layers is not an array");
    return {
      config: blobOf(config).digest,
      manifest: null,
      layers: ((layers ?? []) as unknown[]).map((name) => ({ ...blobOf(name), mediaType: "" })),
      names: (Array.isArray(tags) ? (tags as unknown[]) : []).filter((tag) => typeof tag === "string").map(familiar),
    };
  });
}

function familiar(text: string): string {
  return familiarString(withDefaultTag(parseReference(text)));
}

/** Annotations that carry a name: containerd's full one, and OCI's, which may be a bare tag. */
function nameOf(descriptor: Descriptor): string[] {
  const full = descriptor.annotations?.["io.containerd.image.name"];
  if (full !== undefined) return [familiar(full)];
  const reference = descriptor.annotations?.["org.opencontainers.image.ref.name"];
  return reference !== undefined && /[/:]/.test(reference) ? [familiar(reference)] : [];
}

async function ociImages(bytes: Uint8Array, content: ContentStore): Promise<ArchivedImage[]> {
  const byManifest = new Map<Digest, { descriptor: Descriptor; names: string[] }>();
  for (const descriptor of parseIndex(bytes).manifests) {
    const chosen = await choosePlatform(descriptor, content, 0);
    const known = byManifest.get(chosen.digest);
    if (known === undefined) byManifest.set(chosen.digest, { descriptor: chosen, names: nameOf(descriptor) });
    else known.names.push(...nameOf(descriptor));
  }
  return Promise.all(
    [...byManifest.values()].map(async ({ descriptor, names }) => {
      const manifest = parseManifest(await content.read(descriptor.digest));
      return { config: manifest.config.digest, manifest: descriptor.digest, layers: manifest.layers, names };
    }),
  );
}

/** Follows indexes to the manifest for this machine. */
async function choosePlatform(descriptor: Descriptor, content: ContentStore, depth: number): Promise<Descriptor> {
  if (descriptor.mediaType !== mediaTypes.ociIndex && descriptor.mediaType !== mediaTypes.dockerManifestList)
    return descriptor;
  if (depth > 3) throw new EngineError("invalid", descriptor.digest, "indexes are nested too deeply");
  const { manifests } = parseIndex(await content.read(descriptor.digest));
  const host = hostPlatform();
  const fits = manifests.find(
    (entry) => entry.platform?.os === host.os && entry.platform.architecture === host.architecture,
  );
  if (fits === undefined) {
    throw new EngineError(
      "not-found",
      descriptor.digest,
      `no matching manifest for ${host.os}/${host.architecture} in the manifest list entries`,
    );
  }
  return choosePlatform(fits, content, depth + 1);
}
