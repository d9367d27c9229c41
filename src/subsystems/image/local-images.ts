import { KeyedMutex } from "#base/concurrency.ts";
import { EngineError } from "#base/errors.ts";
import type { Filters } from "#spec/engine-api/event.ts";
import type {
  ImageDeleteItem,
  ImageHistoryItem,
  ImageInspect,
  ImageSummary,
  ProgressMessage,
} from "#spec/engine-api/image.ts";
import { chainIds, type Digest, digestOf } from "#spec/oci/digest.ts";
import type { ImageConfig } from "#spec/oci/image.ts";
import { hostPlatform } from "#spec/oci/parse.ts";
import {
  familiarName,
  familiarString,
  parseReference,
  parseTagged,
  withDefaultTag,
} from "#spec/reference/reference.ts";
import { decompress } from "#store/diff/decompress.ts";
import { hashed } from "#store/diff/hashed.ts";
import { imagesOf, spoolArchive } from "./archive.ts";
import { applyChanges } from "./changes.ts";
import { helloWorldArchive } from "./hello-world.ts";
import type { Images, ResolvedImage } from "./image.ts";
import type { ImageRow } from "./image-rows.ts";
import { type ImageRooms, ImageStore, once } from "./image-store.ts";
import { imagePredicate } from "./list-filters.ts";
import { removeImage } from "./remove.ts";
import { saveArchive } from "./save.ts";

/** Opens the image room and removes what a crash left half-made. */
export async function openImages(rooms: ImageRooms): Promise<Images> {
  const store = new ImageStore(rooms);
  await store.sweep();
  return new LocalImages(store);
}

class LocalImages implements Images {
  readonly #locks = new KeyedMutex();

  constructor(private readonly store: ImageStore) {}

  async resolve(nameOrId: string): Promise<ResolvedImage> {
    return this.store.resolve(nameOrId);
  }

  #names(image: Digest): string[] {
    return this.store.rows.namesOf(image).map((row) => row.name);
  }

  async list(options: { all?: boolean; filters?: Filters; sharedSize?: boolean } = {}): Promise<ImageSummary[]> {
    const summaries: ImageSummary[] = [];
    const matches = imagePredicate(options.filters ?? {}, this.store);
    for (const image of this.store.rows.images()) {
      const names = this.#names(image.id);
      const config = await this.store.config(image.id);
      if (!matches({ image, names, config })) continue;
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
      for (const chain of chainIds((await this.store.config(other.id)).rootfs.diff_ids)) others.add(chain);
    }
    let bytes = 0;
    for (const chain of chainIds((await this.store.config(image.id)).rootfs.diff_ids)) {
      if (others.has(chain)) bytes += (await this.store.rooms.snapshots.stat(chain))?.sizeBytes ?? 0;
    }
    return bytes;
  }

  async inspect(nameOrId: string): Promise<ImageInspect> {
    const image = this.store.find(nameOrId);
    const config = await this.store.config(image.id);
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
    const config = await this.store.config(image.id);
    const chains = chainIds(config.rootfs.diff_ids);
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
    const reference = parseReference(repository);
    if (reference.tag !== undefined || reference.digest !== undefined) {
      throw new EngineError("invalid", repository, "refusing to create a tag with a digest reference");
    }
    const name = familiarString(
      withDefaultTag(parseReference(tag === "" ? repository : `${familiarName(reference)}:${tag}`)),
    );
    this.store.rows.setName(name, image.id);
    this.store.rooms.news({ action: "tag", id: image.id, name });
  }

  async remove(nameOrId: string, options: { force?: boolean; noPrune?: boolean } = {}): Promise<ImageDeleteItem[]> {
    return this.#locks.run("store", () => removeImage(this.store, nameOrId, options.force ?? false));
  }

  async prune(filters: Filters = {}): Promise<{ deleted: ImageDeleteItem[]; spaceReclaimed: number }> {
    const { dangling = ["true"], ...rest } = filters;
    const all = dangling.some((value) => value === "false" || value === "0");
    const matches = imagePredicate(rest, this.store);
    const deleted: ImageDeleteItem[] = [];
    let spaceReclaimed = 0;
    for (const image of this.store.rows.images()) {
      const names = this.#names(image.id);
      if (!all && names.length > 0) continue;
      if (this.store.rooms.users.containersOf(image.id).length > 0) continue;
      if (!matches({ image, names, config: await this.store.config(image.id) })) continue;
      deleted.push(...(await this.remove(image.id, { force: true })));
      spaceReclaimed += image.layers.reduce((sum, layer) => sum + layer.size, 0);
    }
    return { deleted, spaceReclaimed };
  }

  async *load(archive: AsyncIterable<Uint8Array>): AsyncGenerator<ProgressMessage> {
    for (const { id, names } of await this.#loadAll(archive)) {
      for (const name of names) yield { stream: `Loaded image: ${name}\n` };
      if (names.length === 0) yield { stream: `Loaded image ID: ${id}\n` };
      this.store.rooms.news({ action: "load", id, name: names[0] ?? id });
    }
  }

  async #loadAll(archive: AsyncIterable<Uint8Array>): Promise<{ id: Digest; names: readonly string[] }[]> {
    const { store } = this;
    return store.whileHolding(async (hold) => {
      const files = await spoolArchive(archive, store.rooms.content, hold);
      const images = await imagesOf(files, store.rooms.content);
      const loaded: { id: Digest; names: readonly string[] }[] = [];
      for (const image of images) {
        const id = await this.#locks.run("store", () => store.add(image, hold));
        loaded.push({ id, names: image.names });
      }
      return loaded;
    });
  }

  async *save(names: readonly string[]): AsyncGenerator<Uint8Array> {
    const chosen = new Map<Digest, { row: ImageRow; names: string[] }>();
    for (const name of names) {
      const row = this.store.find(name);
      const saved = chosen.get(row.id) ?? { row, names: [] };
      chosen.set(row.id, saved);
      saved.names.push(...this.#namesMeant(name, row));
      this.store.rooms.news({ action: "save", id: row.id, name });
    }
    yield* saveArchive([...chosen.values()], this.store.rooms.content);
  }

  /** An id saves no name; a repository without a tag saves all its tags, as in Docker. */
  #namesMeant(text: string, row: ImageRow): string[] {
    const own = this.#names(row.id);
    try {
      const reference = parseReference(text);
      const exact = familiarString(withDefaultTag(reference));
      return own.includes(exact) ? [exact] : [];
    } catch {
      return [];
    }
  }

  async import(
    tar: AsyncIterable<Uint8Array>,
    options: { repository?: string; tag?: string; message?: string; changes?: readonly string[]; platform?: string },
  ): Promise<Digest> {
    const { store } = this;
    const names: string[] = [];
    if (options.repository !== undefined && options.repository !== "") {
      const { repository, tag } = parseTagged(
        options.tag ? `${options.repository}:${options.tag}` : options.repository,
      );
      names.push(`${repository}:${tag}`);
    }
    const run = applyChanges({}, options.changes ?? []);
    const id = await store.whileHolding(async (hold) => {
      const { stream, digest } = hashed(decompress(tar));
      const layer = await store.rooms.content.ingest(stream);
      hold(layer.digest);
      const created = new Date().toISOString();
      const [os = hostPlatform().os, architecture = hostPlatform().architecture] =
        (options.platform || undefined)?.split("/") ?? [];
      const config = Buffer.from(
        JSON.stringify({
          os,
          architecture,
          created,
          config: run,
          rootfs: { type: "layers", diff_ids: [digest()] },
          history: [{ created, comment: options.message || "Imported from -" }],
        }),
      );
      const configDigest = digestOf(config);
      hold(configDigest);
      await store.rooms.content.ingest(once(config), { digest: configDigest, size: config.byteLength });
      const image = { config: configDigest, manifest: null, layers: [{ ...layer, mediaType: "" }], names };
      return this.#locks.run("store", () => store.add(image, hold));
    });
    store.rooms.news({ action: "import", id, name: names[0] ?? id });
    return id;
  }

  async ensureHelloWorld(): Promise<ResolvedImage> {
    if (this.store.rows.named("hello-world:latest") === null) await this.#loadAll(helloWorldArchive());
    return this.resolve("hello-world:latest");
  }
}

function createdSeconds(config: ImageConfig): number {
  const time = config.created === undefined ? Number.NaN : Date.parse(config.created);
  return Number.isNaN(time) ? 0 : Math.floor(time / 1000);
}
