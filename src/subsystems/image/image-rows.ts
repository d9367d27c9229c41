import { type Digest, isDigest } from "#spec/oci/digest.ts";
import type { Metadata } from "#store/metadata/metadata.ts";

/** A layer of an image as it is kept: the blob that came, and what it unpacks to. */
export interface LayerRow {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Of the blob, bytes. */
  readonly size: number;
}

export interface ImageRow {
  readonly id: Digest;
  readonly manifest: Digest;
  readonly layers: readonly LayerRow[];
  /** Bytes of its unpacked layers. */
  readonly size: number;
  /** Milliseconds since 1970: when it came into the store. */
  readonly addedAt: number;
}

export interface NameRow {
  /** `nginx:latest` */
  readonly name: string;
  readonly image: Digest;
  readonly taggedAt: number;
}

interface StoredImage {
  id: Digest;
  manifest: Digest;
  layers: string;
  size: number;
  added_at: number;
}

const migrations = [
  `CREATE TABLE image (
     id TEXT PRIMARY KEY, manifest TEXT NOT NULL, layers TEXT NOT NULL, size INTEGER NOT NULL, added_at INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE image_name (
     name TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES image (id), tagged_at INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX image_name_image ON image_name (image)`,
];

/** The tables of the image room. */
export class ImageRows {
  constructor(private readonly metadata: Metadata) {
    metadata.migrate("image", migrations);
  }

  image(id: Digest): ImageRow | null {
    const row = this.metadata.query<StoredImage>("SELECT * FROM image WHERE id = ?").get(id);
    return row === null ? null : toImage(row);
  }

  images(): ImageRow[] {
    return this.metadata.query<StoredImage>("SELECT * FROM image ORDER BY added_at DESC").all().map(toImage);
  }

  /** Ids that begin with `hex`. */
  idsWithPrefix(hex: string): Digest[] {
    return this.metadata
      .query<{ id: string }>("SELECT id FROM image WHERE substr(id, 8, ?) = ?")
      .all(hex.length, hex)
      .map((row) => row.id)
      .filter(isDigest);
  }

  named(name: string): NameRow | null {
    return this.metadata
      .query<NameRow>("SELECT name, image, tagged_at AS taggedAt FROM image_name WHERE name = ?")
      .get(name);
  }

  namesOf(image: Digest): NameRow[] {
    return this.metadata
      .query<NameRow>("SELECT name, image, tagged_at AS taggedAt FROM image_name WHERE image = ? ORDER BY name")
      .all(image);
  }

  /** The image that came with, or was given, this manifest. */
  withManifest(digest: Digest): Digest | null {
    return this.metadata.query<{ id: Digest }>("SELECT id FROM image WHERE manifest = ?").get(digest)?.id ?? null;
  }

  /** Adds the image if it is new and points the names at it, in one commit. @returns names another image had before */
  put(image: ImageRow, names: readonly string[]): { name: string; before: Digest }[] {
    return this.metadata.transaction(() => {
      this.metadata
        .query("INSERT OR IGNORE INTO image VALUES (?, ?, ?, ?, ?)")
        .run(image.id, image.manifest, JSON.stringify(image.layers), image.size, image.addedAt);
      return names.flatMap((name) => {
        const before = this.setName(name, image.id);
        return before === null ? [] : [{ name, before }];
      });
    });
  }

  /** @returns the image that had the name before, if another */
  setName(name: string, image: Digest): Digest | null {
    const before = this.named(name);
    this.metadata.query("INSERT OR REPLACE INTO image_name VALUES (?, ?, ?)").run(name, image, Date.now());
    return before !== null && before.image !== image ? before.image : null;
  }

  /** Names of a repository, in its familiar spelling, with every tag. */
  namesIn(repository: string): NameRow[] {
    return this.metadata
      .query<NameRow>(
        "SELECT name, image, tagged_at AS taggedAt FROM image_name WHERE substr(name, 1, ?) = ? ORDER BY name",
      )
      .all(repository.length + 1, `${repository}:`)
      .filter(({ name }) => !name.slice(repository.length + 1).includes("/"));
  }

  removeName(name: string): void {
    this.metadata.query("DELETE FROM image_name WHERE name = ?").run(name);
  }

  removeImage(id: Digest): void {
    this.metadata.transaction(() => {
      this.metadata.query("DELETE FROM image_name WHERE image = ?").run(id);
      this.metadata.query("DELETE FROM image WHERE id = ?").run(id);
    });
  }
}

function toImage(row: StoredImage): ImageRow {
  return {
    id: row.id,
    manifest: row.manifest,
    layers: JSON.parse(row.layers) as LayerRow[],
    size: row.size,
    addedAt: row.added_at,
  };
}
