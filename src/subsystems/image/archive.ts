/** What an image archive holds: docker-archive and OCI layout, read into blobs first and understood after. */
import { EngineError } from "#base/errors.ts";
import type { Digest } from "#spec/oci/digest.ts";
import { type Descriptor, mediaTypes } from "#spec/oci/image.ts";
import { hostPlatform, parseDockerArchive, parseIndex, parseManifest } from "#spec/oci/parse.ts";
import { familiarString, parseReference, withDefaultTag } from "#spec/reference/reference.ts";
import { readTar } from "#spec/tar/read.ts";
import type { BlobInfo, ContentStore } from "#store/content/content.ts";
import { decompress } from "#store/diff/decompress.ts";
import type { Hold } from "./image-store.ts";
import type { BlobImage } from "./unpack.ts";

/** An archive of images has a few files a layer; one with more entries than this is no image. */
const entriesMax = 100_000;

type Files = ReadonlyMap<string, BlobInfo>;

/** Every regular file of an archive by its name, as a blob. Names are only keys: no path is made of them. */
export async function spoolArchive(archive: AsyncIterable<Uint8Array>, hold: Hold): Promise<Files> {
  const files = new Map<string, BlobInfo>();
  const links: [string, string][] = [];
  let entries = 0;
  for await (const { entry, body } of readTar(decompress(archive))) {
    if (++entries > entriesMax)
      throw new EngineError("invalid", "archive", `the archive has more than ${entriesMax} entries`);
    const name = normalName(entry.name);
    if (entry.type === "file") {
      const hex = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name)?.[1];
      const expected = hex === undefined ? undefined : { digest: `sha256:${hex}` as Digest, size: entry.sizeBytes };
      files.set(name, await hold.ingest(body, expected));
    } else if (entry.type === "symlink") links.push([name, joinName(name, entry.linkName)]);
    else if (entry.type === "hardlink") links.push([name, normalName(entry.linkName)]);
  }
  // Old archives point equal layers at each other: names only, nothing is followed on disk.
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
export async function imagesOf(files: Files, content: ContentStore): Promise<BlobImage[]> {
  const listing = files.get("manifest.json");
  if (listing !== undefined) return dockerImages(await content.read(listing.digest), files);
  const index = files.get("index.json");
  if (index !== undefined) return ociImages(await content.read(index.digest), files, content);
  throw new EngineError(
    "invalid",
    "archive",
    "open manifest.json: no such file or directory: the archive holds neither manifest.json nor index.json",
  );
}

function dockerImages(bytes: Uint8Array, files: Files): BlobImage[] {
  const blobOf = (name: string): BlobInfo => {
    const blob = files.get(normalName(name));
    if (blob === undefined)
      throw new EngineError(
        "invalid",
        "manifest.json",
        `invalid manifest.json: the archive has no file ${JSON.stringify(name)}`,
      );
    return blob;
  };
  return parseDockerArchive(bytes).map(({ config, tags, layers }) => ({
    config: blobOf(config).digest,
    manifest: null,
    layers: layers.map((name) => ({ ...blobOf(name), mediaType: "" })),
    names: tags.flatMap(familiar),
  }));
}

/** The name to give; none for a reference that has only a digest. @throws EngineError `invalid` */
function familiar(text: string): string[] {
  const { domain, path, tag, digest } = parseReference(text);
  if (tag === undefined && digest !== undefined) return [];
  return [familiarString(withDefaultTag({ domain, path, ...(tag !== undefined && { tag }) }))];
}

/** Annotations that carry a name: containerd's full one, and OCI's, which may be a bare tag. */
function namesIn({ annotations }: Descriptor): string[] {
  const full = annotations?.["io.containerd.image.name"];
  if (full !== undefined) return familiar(full);
  const reference = annotations?.["org.opencontainers.image.ref.name"];
  return reference !== undefined && /[/:]/.test(reference) ? familiar(reference) : [];
}

async function ociImages(bytes: Uint8Array, files: Files, content: ContentStore): Promise<BlobImage[]> {
  const layout = new OciLayout(files, content);
  const images = new Map<Digest, { manifest: Descriptor; names: string[] }>();
  for (const descriptor of forThisMachine(parseIndex(bytes).manifests)) {
    const manifest = await layout.choosePlatform(descriptor, 0);
    const image = images.get(manifest.digest) ?? { manifest, names: [] };
    images.set(manifest.digest, image);
    image.names.push(...namesIn(descriptor));
  }
  return Promise.all([...images.values()].map(({ manifest, names }) => layout.image(manifest, names)));
}

const isIndex = ({ mediaType }: Descriptor) =>
  mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerManifestList;

function fitsHost({ platform }: Descriptor): boolean {
  const host = hostPlatform();
  return platform?.os === host.os && platform.architecture === host.architecture;
}

/**
 * A layout may list one name once a platform: this machine's is meant then. What has no platform, or is the only one of
 * its name, stays. Attestations (`unknown/unknown`) are no images.
 */
function forThisMachine(descriptors: readonly Descriptor[]): Descriptor[] {
  const images = descriptors.filter(({ platform }) => platform?.os !== "unknown");
  const nameOf = (descriptor: Descriptor) => namesIn(descriptor)[0] ?? "";
  const fitting = new Set(images.filter(fitsHost).map(nameOf));
  return images.filter(
    (descriptor) => descriptor.platform === undefined || fitsHost(descriptor) || !fitting.has(nameOf(descriptor)),
  );
}

class OciLayout {
  readonly #chosen = new Map<Digest, Descriptor>();

  constructor(
    private readonly files: Files,
    private readonly content: ContentStore,
  ) {}

  /** @throws EngineError `invalid` when the archive lacks it, `corrupt` when it is of another size */
  #check({ digest, size }: Descriptor): void {
    const blob = this.files.get(`blobs/sha256/${digest.slice("sha256:".length)}`);
    if (blob === undefined) throw new EngineError("invalid", digest, `the archive has no blob ${digest}`);
    if (blob.size !== size)
      throw new EngineError("corrupt", digest, `blob ${digest} has ${blob.size} bytes, its descriptor says ${size}`);
  }

  /** Follows indexes to the manifest for this machine. */
  async choosePlatform(descriptor: Descriptor, depth: number): Promise<Descriptor> {
    const known = this.#chosen.get(descriptor.digest);
    if (known !== undefined || !isIndex(descriptor)) return known ?? descriptor;
    if (depth > 3) throw new EngineError("invalid", descriptor.digest, "indexes are nested too deeply");
    this.#check(descriptor);
    const { manifests } = parseIndex(await this.content.read(descriptor.digest));
    const fits = manifests.find(fitsHost) ?? manifests.find((entry) => entry.platform === undefined && isIndex(entry));
    if (fits === undefined) {
      const { os, architecture } = hostPlatform();
      throw new EngineError(
        "not-found",
        descriptor.digest,
        `no matching manifest for ${os}/${architecture} in the manifest list entries`,
      );
    }
    const chosen = await this.choosePlatform(fits, depth + 1);
    this.#chosen.set(descriptor.digest, chosen);
    return chosen;
  }

  async image(descriptor: Descriptor, names: readonly string[]): Promise<BlobImage> {
    this.#check(descriptor);
    const { config, layers } = parseManifest(await this.content.read(descriptor.digest));
    for (const part of [config, ...layers]) this.#check(part);
    return { config: config.digest, manifest: descriptor.digest, layers, names };
  }
}
