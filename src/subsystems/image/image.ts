import type { Filters } from "#spec/engine-api/event.ts";
import type {
  ImageDeleteItem,
  ImageHistoryItem,
  ImageInspect,
  ImageSummary,
  ProgressMessage,
} from "#spec/engine-api/image.ts";
import type { ChainId, Digest } from "#spec/oci/digest.ts";
import type { ImageConfig } from "#spec/oci/image.ts";

/** An image ready to run: its config digest is Docker's image ID. */
export interface ResolvedImage {
  readonly id: Digest;
  readonly config: ImageConfig;
  /** Top of its committed snapshots; null for an image without layers. */
  readonly chain: ChainId | null;
}

/** News of images for the event stream: `load`, `import`, `tag`, `untag`, `delete`, `save`, `pull`. */
export interface ImageNews {
  readonly action: "load" | "import" | "tag" | "untag" | "delete" | "save" | "pull" | "push";
  /** Image id, or for pull/push the reference. */
  readonly id: string;
  /** `name` as shown in event attributes. */
  readonly name: string;
}

/** Tells who uses an image, so that `remove` can refuse. Given at construction by the wiring. */
export interface ImageUsers {
  /** Containers on image `id`: id, and whether they run. */
  containersOf(id: Digest): readonly { readonly id: string; readonly running: boolean }[];
}

/**
 * Names, configs and layers of images. Names map to manifests or configs in SQLite; bytes are in the content store,
 * layers in the snapshotter. A name is set last, so no name ever points at half an image.
 */
export interface Images {
  /**
   * Finds an image by name (`nginx`, `nginx:1`, `host/a@sha256:…`), id (`sha256:…`) or unique id prefix.
   * @throws EngineError `not-found` "No such image: NAME"; `invalid` on an ambiguous prefix or malformed reference
   */
  resolve(nameOrId: string): Promise<ResolvedImage>;
  list(options?: { all?: boolean; filters?: Filters; sharedSize?: boolean }): Promise<ImageSummary[]>;
  inspect(nameOrId: string): Promise<ImageInspect>;
  history(nameOrId: string): Promise<ImageHistoryItem[]>;
  /** @throws EngineError `not-found`, `invalid` */
  tag(nameOrId: string, repository: string, tag: string): Promise<void>;
  /** Docker's rules: untags, and deletes when it was the last name. @throws EngineError `conflict` with Docker's texts */
  remove(nameOrId: string, options?: { force?: boolean; noPrune?: boolean }): Promise<ImageDeleteItem[]>;
  /** Unused images. @returns what went and bytes freed */
  prune(filters?: Filters): Promise<{ deleted: ImageDeleteItem[]; spaceReclaimed: number }>;
  /**
   * Reads a docker-archive or OCI layout tar, plain or compressed with gzip or zstd (found by its magic bytes).
   * Yields Docker's progress messages (`{"stream":"Loaded image: name:tag\n"}`).
   * @throws EngineError `invalid`/`corrupt` on a truncated archive or wrong digest; nothing is named then
   */
  load(archive: AsyncIterable<Uint8Array>, options?: { quiet?: boolean }): AsyncGenerator<ProgressMessage>;
  /** A tar that is docker-archive and OCI layout in one, of several images with their shared layers once. */
  save(names: readonly string[]): AsyncGenerator<Uint8Array>;
  /** One flat layer out of a root file system's tar (plain, gzip, zstd). `changes` are Dockerfile instructions. */
  import(
    tar: AsyncIterable<Uint8Array>,
    options: { repository?: string; tag?: string; message?: string; changes?: readonly string[]; platform?: string },
  ): Promise<Digest>;
  /** Puts the built-in `hello-world:latest` into the store if absent; used when no registry can be reached. */
  ensureHelloWorld(): Promise<ResolvedImage>;
}
