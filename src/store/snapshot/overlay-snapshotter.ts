import { randomUUID } from "node:crypto";
import { chmodSync, mkdirSync, renameSync } from "node:fs";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Background, KeyedMutex } from "#base/concurrency.ts";
import { EngineError } from "#base/errors.ts";
import type { Logger } from "#base/log.ts";
import { syncDirectory, syncFileSystem } from "#linux/fs/files.ts";
import type { ChainId } from "#spec/oci/digest.ts";
import { applyLayer } from "#store/diff/apply.ts";
import { hashed } from "#store/diff/hashed.ts";
import type { Metadata } from "#store/metadata/metadata.ts";
import { directoryUsage } from "./directory-usage.ts";
import type { Mount, SnapshotInfo, Snapshotter } from "./snapshot.ts";

interface Row {
  number: number;
  name: string;
  kind: "active" | "committed";
  parent: string | null;
  size: number;
}

const migrations = [
  `CREATE TABLE snapshot (
     number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, parent TEXT, size INTEGER NOT NULL
   ) STRICT`,
];

/**
 * Layers as unpacked directories, stacked by overlayfs. A snapshot lives in `<root>/<number>`: `fs` is the layer or the
 * upper directory, `work` is overlayfs's own. Numbers keep the paths short: a long stack must fit a mount's options.
 */
export async function openOverlaySnapshotter(options: {
  root: string;
  metadata: Metadata;
  log: Logger;
}): Promise<Snapshotter> {
  await mkdir(join(options.root, "removed"), { recursive: true, mode: 0o700 });
  options.metadata.migrate("snapshot", migrations);
  return new OverlaySnapshotter(options.root, options.metadata, options.log);
}

class OverlaySnapshotter implements Snapshotter {
  readonly driver = "overlay";
  readonly #imports = new KeyedMutex();
  readonly #removals: Background;

  constructor(
    private readonly root: string,
    private readonly metadata: Metadata,
    log: Logger,
  ) {
    this.#removals = new Background((what, error) => log.error("cannot remove a snapshot's files", { what, error }));
  }

  #row(name: string): Row | null {
    return this.metadata.query<Row>("SELECT * FROM snapshot WHERE name = ?").get(name);
  }

  #rowOf(name: string): Row {
    const row = this.#row(name);
    if (row === null) throw new EngineError("not-found", name, `snapshot ${name} does not exist`);
    return row;
  }

  #insert(name: string, kind: Row["kind"], parent: string | null, size: number): number {
    return Number(
      this.metadata
        .query("INSERT INTO snapshot (name, kind, parent, size) VALUES (?, ?, ?, ?)")
        .run(name, kind, parent, size).lastInsertRowid,
    );
  }

  /** A new place for bytes without a row. Never one that a removal still works on, whoever began that. */
  #grave(name: string): string {
    return join(this.root, "removed", `${name}-${randomUUID()}`);
  }

  #directory(number: number): string {
    return join(this.root, String(number));
  }

  async importLayer({ chain, parent, diffId, tar }: Parameters<Snapshotter["importLayer"]>[0]): Promise<SnapshotInfo> {
    return this.#imports.run(chain, async () => {
      const present = await this.stat(chain);
      if (present !== null) return present;
      const temporary = this.#grave("import");
      await using undo = new AsyncDisposableStack();
      undo.defer(() => rm(temporary, { recursive: true, force: true }));
      mkdirSync(temporary, { mode: 0o700 });
      makeLayerRoot(temporary);
      const { stream, digest } = hashed(tar);
      const { sizeBytes } = await applyLayer(join(temporary, "fs"), stream);
      if (digest() !== (diffId as string))
        throw new EngineError("corrupt", diffId, `layer has diff ID ${digest()}, want ${diffId}`);
      // One flush for the whole tree costs less than an fsync a file.
      await syncFileSystem(temporary);
      return this.#commitImport(chain, parent, temporary, sizeBytes);
    });
  }

  /** The row's number names the directory; a row whose directory is not there yet would be a lie, so both come in one transaction. */
  #commitImport(chain: ChainId, parent: ChainId | null, temporary: string, sizeBytes: number): SnapshotInfo {
    this.metadata.transaction(() => {
      const number = this.#insert(chain, "committed", parent, sizeBytes);
      renameSync(temporary, this.#directory(number));
      syncDirectory(this.root);
    });
    return { name: chain, kind: "committed", parent, sizeBytes };
  }

  async prepare(key: string, parent: ChainId | null): Promise<void> {
    if (this.#row(key) !== null) throw new EngineError("conflict", key, `snapshot ${key} exists already`);
    if (parent !== null && this.#row(parent)?.kind !== "committed") {
      throw new EngineError("not-found", parent, `snapshot ${parent} does not exist`);
    }
    // Its owner's row comes next and takes this one to the disk.
    const number = this.metadata.relaxed(() => this.#insert(key, "active", parent, 0));
    const directory = this.#directory(number);
    makeActive(directory);
  }

  /** Directories of a stack, topmost first. */
  #layers(parent: string | null): string[] {
    const directories: string[] = [];
    for (let name = parent; name !== null; ) {
      const row = this.#rowOf(name);
      directories.push(join(this.#directory(row.number), "fs"));
      name = row.parent;
    }
    return directories;
  }

  async mounts(key: string): Promise<readonly Mount[]> {
    const row = this.#rowOf(key);
    const directory = this.#directory(row.number);
    const upper = join(directory, "fs");
    const lower = this.#layers(row.parent);
    if (lower.length === 0) return [{ type: "bind", source: upper, options: ["rw"] }];
    return [
      {
        type: "overlay",
        source: "overlay",
        options: [`lowerdir=${lower.join(":")}`, `upperdir=${upper}`, `workdir=${join(directory, "work")}`],
      },
    ];
  }

  async upperDirectory(key: string): Promise<string> {
    return join(this.#directory(this.#rowOf(key).number), "fs");
  }

  async stat(name: string): Promise<SnapshotInfo | null> {
    const row = this.#row(name);
    return row === null ? null : toInfo(row);
  }

  async usage(key: string): Promise<number> {
    return directoryUsage(await this.upperDirectory(key));
  }

  async remove(name: string): Promise<void> {
    const row = this.#row(name);
    if (row === null) return;
    const child = this.metadata.query<{ name: string }>("SELECT name FROM snapshot WHERE parent = ?").get(name);
    if (child !== null) throw new EngineError("conflict", name, `snapshot ${name} is in use by ${child.name}`);
    const forget = () => this.metadata.query("DELETE FROM snapshot WHERE number = ?").run(row.number);
    // A layer's row must never come back without its directory; a container's is swept with its container.
    if (row.kind === "active") this.metadata.relaxed(forget);
    else forget();
    const grave = this.#grave(String(row.number));
    await rename(this.#directory(row.number), grave).catch(ignoreAbsent);
    void this.#removals.run(name, () => rm(grave, { recursive: true, force: true }));
  }

  async list(): Promise<readonly SnapshotInfo[]> {
    return this.metadata.query<Row>("SELECT * FROM snapshot").all().map(toInfo);
  }

  async sweep(): Promise<void> {
    const known = new Set(
      this.metadata
        .query<Row>("SELECT * FROM snapshot")
        .all()
        .map((row) => String(row.number)),
    );
    for (const name of await readdir(this.root)) {
      if (/^\d+$/.test(name) && !known.has(name))
        await rename(join(this.root, name), this.#grave(name)).catch(ignoreAbsent);
    }
    for (const name of await readdir(join(this.root, "removed"))) {
      void this.#removals.run(name, () => rm(join(this.root, "removed", name), { recursive: true, force: true }));
    }
    // The directories of an active snapshot are not flushed: a power cut soon after leaves a row alone, of a container
    // that nothing was written to yet.
    for (const row of this.metadata.query<Row>("SELECT * FROM snapshot WHERE kind = 'active'").all()) {
      const whole = await stat(join(this.#directory(row.number), "work")).catch(() => null);
      if (whole === null) makeActive(this.#directory(row.number));
    }
  }

  async close(): Promise<void> {
    await this.#removals.drain();
  }
}

/** What exists already stays as it is. */
function makeActive(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  makeLayerRoot(directory);
  mkdirSync(join(directory, "work"), { recursive: true, mode: 0o700 });
}

/** The container's `/` where no image says otherwise; the daemon's umask does not count. */
function makeLayerRoot(directory: string): void {
  const root = join(directory, "fs");
  if (mkdirSync(root, { recursive: true }) !== undefined) chmodSync(root, 0o755);
}

function toInfo(row: Row): SnapshotInfo {
  return { name: row.name, kind: row.kind, parent: row.parent as ChainId | null, sizeBytes: row.size };
}

function ignoreAbsent(error: unknown): void {
  if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
}
