import { isEngineError } from "#base/errors.ts";
import type { Filters } from "#spec/engine-api/event.ts";
import type {
  ImageDeleteItem,
  ImageHistoryItem,
  ImageInspect,
  ImageSummary,
  ProgressMessage,
} from "#spec/engine-api/image.ts";
import { type Digest, digestOf } from "#spec/oci/digest.ts";
import type { ImageConfig } from "#spec/oci/image.ts";
import { hostPlatform } from "#spec/oci/parse.ts";
import {
  familiarName,
  familiarString,
  parseReference,
  parseTagged,
  type Reference,
  withDefaultTag,
} from "#spec/reference/reference.ts";
import { decompress } from "#store/diff/decompress.ts";
import { hashed } from "#store/diff/hashed.ts";
import { imagesOf, spoolArchive } from "./archive.ts";
import { applyChanges } from "./changes.ts";
import { helloWorldArchive } from "./hello-world.ts";
import type { Images, ResolvedImage } from "./image.ts";
import type { ImageRow } from "./image-rows.ts";
import { type ImageRooms, ImageStore, once, type ReadyImage } from "./image-store.ts";
import { imageFilter } from "./list-filters.ts";
import { removeImage } from "./remove.ts";
import { saveArchive } from "./save.ts";
import { unpackImage } from "./unpack.ts";

/** Opens the image room and removes what a crash left half-made. */
export async function openImages(rooms: ImageRooms): Promise<Images> {
  return new LocalImages(await ImageStore.open(rooms));
}

class LocalImages implements Images {
  constructor(private readonly store: ImageStore) {}

  async resolve(nameOrId: string): Promise<ResolvedImage> {
    return this.store.resolve(nameOrId);
  }

  #names(image: Digest): string[] {
    return this.store.rows.namesOf(image).map((row) => row.name);
  }

  async list(options: { all?: boolean; filters?: Filters; sharedSize?: boolean } = {}): Promise<ImageSummary[]> {
    const summaries: ImageSummary[] = [];
    const filter = imageFilter(options.filters ?? {}, this.store);
    for (const image of this.store.rows.images()) {
      const config = this.store.config(image.id);
      const names = filter(config, this.#names(image.id));
      if (names === null) continue;
      summaries.push({
        Id: image.id,
        ParentId: "",
        RepoTags: names,
        RepoDigests: [],
        Created: createdSeconds(config),
        Size: image.size,
        SharedSize: options.sharedSize === true ? await this.#sharedSize(image) : -1,
        Labels:
          config.config?.Labels === undefined || config.config.Labels === null ? null : { ...config.config.Labels },
        Containers: this.store.rooms.users.containersOf(image.id).length,
      });
    }
    return summaries.sort((a, b) => b.Created - a.Created);
  }

  /** Bytes of layers that another image has as well. */
  async #sharedSize(image: ImageRow): Promise<number> {
    const others = new Set<string>();
    for (const other of this.store.rows.images()) {
      if (other.id === image.id) continue;
      for (const chain of this.store.chains(other.id)) others.add(chain);
    }
    let bytes = 0;
    for (const chain of this.store.chains(image.id)) {
      if (others.has(chain)) bytes += (await this.store.rooms.snapshots.stat(chain))?.sizeBytes ?? 0;
    }
    return bytes;
  }

  async inspect(nameOrId: string): Promise<ImageInspect> {
    const image = this.store.find(nameOrId);
    const config = this.store.config(image.id);
    const names = this.store.rows.namesOf(image.id);
    const lastTagged = Math.max(0, ...names.map((row) => row.taggedAt));
    return {
      Id: image.id,
      RepoTags: names.map((row) => row.name),
      RepoDigests: [],
      Parent: "",
      Comment: config.history?.at(-1)?.comment ?? "",
      ...(config.created !== undefined && { Created: config.created }),
      DockerVersion: "",
      Author: config.author ?? "",
      Config: structuredClone(config.config ?? {}) as ImageInspect["Config"],
      Architecture: config.architecture,
      ...(config.variant !== undefined && { Variant: config.variant }),
      Os: config.os,
      Size: image.size,
      GraphDriver: { Name: this.store.rooms.snapshots.driver, Data: null },
      RootFS: { Type: "layers", Layers: [...config.rootfs.diff_ids] },
      Metadata: { LastTagTime: lastTagged === 0 ? "0001-01-01T00:00:00Z" : new Date(lastTagged).toISOString() },
    };
  }

  async history(nameOrId: string): Promise<ImageHistoryItem[]> {
    const image = this.store.find(nameOrId);
    const config = this.store.config(image.id);
    const chains = this.store.chains(image.id);
    let layer = 0;
    const items: ImageHistoryItem[] = [];
    for (const entry of config.history ?? chains.map(() => ({}) as NonNullable<ImageConfig["history"]>[number])) {
      const chain = entry.empty_layer === true ? undefined : chains[layer++];
      items.push({
        Id: "<missing>",
        Created: entry.created === undefined ? createdSeconds(config) : Math.floor(Date.parse(entry.created) / 1000),
        CreatedBy: entry.created_by ?? "",
        Tags: null,
        Size: chain === undefined ? 0 : ((await this.store.rooms.snapshots.stat(chain))?.sizeBytes ?? 0),
        Comment: entry.comment ?? "",
      });
    }
    const top = items.at(-1);
    if (top !== undefined) {
      top.Id = image.id;
      const names = this.#names(image.id);
      top.Tags = names.length > 0 ? names : null;
    }
    return items.reverse();
  }

  async tag(nameOrId: string, repository: string, tag: string): Promise<void> {
    const image = this.store.find(nameOrId);
    const given = parseTagged(repository, tag);
    const name = `${given.repository}:${given.tag}`;
    this.store.rows.setName(name, image.id);
    this.store.rooms.news({ action: "tag", id: image.id, name });
  }

  async remove(nameOrId: string, options: { force?: boolean; noPrune?: boolean } = {}): Promise<ImageDeleteItem[]> {
    const gone = removeImage(this.store, nameOrId, options.force ?? false);
    await this.store.collect();
    return gone;
  }

  async prune(filters: Filters = {}): Promise<{ deleted: ImageDeleteItem[]; spaceReclaimed: number }> {
    const { dangling = ["true"], ...rest } = filters;
    const all = dangling.some((value) => value === "false" || value === "0");
    const filter = imageFilter(rest, this.store);
    const deleted: ImageDeleteItem[] = [];
    for (const image of this.store.rows.images()) {
      const names = this.#names(image.id);
      if (!all && names.length > 0) continue;
      if (this.store.rooms.users.containersOf(image.id).length > 0) continue;
      if (filter(this.store.config(image.id), names) === null) continue;
      deleted.push(...removeImage(this.store, image.id, true));
    }
    return { deleted, spaceReclaimed: await this.store.collect() };
  }

  async *load(archive: AsyncIterable<Uint8Array>): AsyncGenerator<ProgressMessage> {
    const { loaded, moved } = await this.#loadAll(archive);
    for (const { name, before } of moved)
      yield { stream: `The image ${name} already exists, renaming the old one with ID ${before} to empty string\n` };
    for (const { id, names } of loaded) {
      for (const name of names) yield { stream: `Loaded image: ${name}\n` };
      if (names.length === 0) yield { stream: `Loaded image ID: ${id}\n` };
      this.store.rooms.news({ action: "load", id, name: names[0] ?? id });
    }
  }

  /** All images of an archive, or none. */
  async #loadAll(archive: AsyncIterable<Uint8Array>): Promise<Loaded> {
    const { store } = this;
    return store.whileHolding(async (hold) => {
      const files = await spoolArchive(archive, hold);
      const ready: ReadyImage[] = [];
      for (const image of await imagesOf(files, store.rooms.content))
        ready.push(await unpackImage(store.rooms, image, hold));
      const moved = store.publish(ready);
      return { loaded: ready.map(({ row, names }) => ({ id: row.id, names })), moved };
    });
  }

  async *save(names: readonly string[]): AsyncGenerator<Uint8Array> {
    const chosen = new Map<Digest, { row: ImageRow; names: string[] }>();
    for (const name of names) {
      for (const found of this.#imagesMeant(name)) {
        const saved = chosen.get(found.row.id) ?? { row: found.row, names: [] };
        chosen.set(found.row.id, saved);
        if (found.name !== null && !saved.names.includes(found.name)) saved.names.push(found.name);
      }
    }
    const images = [...chosen.values()];
    // An image removed meanwhile is saved whole all the same.
    await using hold = this.store.hold();
    for (const { row } of images)
      for (const digest of [row.id, row.manifest, ...row.layers.map((layer) => layer.digest)]) hold.blob(digest);
    for (const { row } of images) this.store.rooms.news({ action: "save", id: row.id, name: row.id });
    yield* saveArchive(images, this.store.rooms.content);
  }

  /** A name saves itself, a repository without a tag all its tags, an id the image without a name; as in Docker. */
  #imagesMeant(text: string): { row: ImageRow; name: string | null }[] {
    const { rows } = this.store;
    const reference = parseReferenceOrNull(text);
    if (reference !== null && reference.tag === undefined && reference.digest === undefined) {
      const tags = rows.namesIn(familiarName(reference)).flatMap(({ name, image }) => {
        const row = rows.image(image);
        return row === null ? [] : [{ row, name }];
      });
      if (tags.length > 0) return tags;
    }
    const row = this.store.find(text);
    const exact = reference === null ? null : familiarString(withDefaultTag(reference));
    return [{ row, name: exact !== null && rows.named(exact)?.image === row.id ? exact : null }];
  }

  async import(
    tar: AsyncIterable<Uint8Array>,
    options: { repository?: string; tag?: string; message?: string; changes?: readonly string[]; platform?: string },
  ): Promise<Digest> {
    const { store } = this;
    const names: string[] = [];
    if (options.repository !== undefined && options.repository !== "") {
      const { repository, tag } = parseTagged(options.repository, options.tag);
      names.push(`${repository}:${tag}`);
    }
    const run = applyChanges({}, options.changes ?? []);
    const id = await store.whileHolding(async (hold) => {
      const { stream, digest } = hashed(decompress(tar));
      const layer = await hold.ingest(stream);
      const created = new Date().toISOString();
      const [os = hostPlatform().os, architecture = hostPlatform().architecture, variant] =
        (options.platform || undefined)?.split("/") ?? [];
      const config = Buffer.from(
        JSON.stringify({
          os,
          architecture,
          ...(variant !== undefined && { variant }),
          created,
          config: run,
          rootfs: { type: "layers", diff_ids: [digest()] },
          history: [{ created, comment: options.message || "Imported from -" }],
        }),
      );
      const id = (await hold.ingest(once(config), { digest: digestOf(config), size: config.byteLength })).digest;
      const image = { config: id, manifest: null, layers: [{ ...layer, mediaType: "" }], names };
      store.publish([await unpackImage(store.rooms, image, hold)]);
      return id;
    });
    store.rooms.news({ action: "import", id, name: names[0] ?? id });
    return id;
  }

  async ensureHelloWorld(): Promise<ResolvedImage> {
    if (this.store.rows.named("hello-world:latest") === null) await this.#loadAll(helloWorldArchive());
    return this.resolve("hello-world:latest");
  }
}

interface Loaded {
  readonly loaded: readonly { readonly id: Digest; readonly names: readonly string[] }[];
  readonly moved: readonly { readonly name: string; readonly before: Digest }[];
}

function parseReferenceOrNull(text: string): Reference | null {
  try {
    return parseReference(text);
  } catch (error) {
    if (isEngineError(error, "invalid")) return null;
    throw error;
  }
}

function createdSeconds(config: ImageConfig): number {
  const time = config.created === undefined ? Number.NaN : Date.parse(config.created);
  return Number.isNaN(time) ? 0 : Math.floor(time / 1000);
}
