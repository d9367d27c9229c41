import { closeSync, constants, mkdirSync, openSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { KeyedMutex } from "#base/concurrency.ts";
import { EngineError, errorMessage } from "#base/errors.ts";
import { newId } from "#base/ids.ts";
import type { Logger } from "#base/log.ts";
import { syncDirectory } from "#linux/fs/files.ts";
import { RootDirectory } from "#linux/fs/in-root.ts";
import { SyscallError } from "#linux/libc.ts";
import { mount, mountFlag, mountsBelow, unmount } from "#linux/mount/mount.ts";
import type { Filters } from "#spec/engine-api/event.ts";
import type { Volume, VolumeCreateRequest } from "#spec/engine-api/volume.ts";
import type { Metadata } from "#store/metadata/metadata.ts";
import { directoryUsage } from "#store/snapshot/directory-usage.ts";
import { copyDirectoryAttributes, copyTree } from "./copy-tree.ts";
import type { Volumes } from "./volume.ts";
import { checkDriverOptions, checkVolumeName, mountCall } from "./volume-options.ts";

export interface VolumeNews {
  readonly action: "create" | "destroy" | "mount" | "unmount";
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
}

const anonymousLabel = "com.docker.volume.anonymous";
const directoryMode = 0o701;
const migrations = [
  `CREATE TABLE volume (
     name TEXT PRIMARY KEY, created_at TEXT NOT NULL, labels TEXT, options TEXT, anonymous INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE volume_use (
     volume TEXT NOT NULL REFERENCES volume(name) ON DELETE CASCADE, container TEXT NOT NULL,
     PRIMARY KEY (volume, container)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX volume_use_container ON volume_use(container)`,
];

interface Row {
  readonly name: string;
  readonly created_at: string;
  readonly labels: string | null;
  readonly options: string | null;
  readonly anonymous: number;
}

/**
 * Opens the volumes below `root`. Directories without a row (a crash between the two) are removed.
 * A row is durable before its name is answered; a directory is removed only after its row.
 */
export async function openVolumes(options: {
  readonly root: string;
  readonly metadata: Metadata;
  readonly log: Logger;
  readonly news: (news: VolumeNews) => void;
}): Promise<Volumes> {
  mkdirSync(options.root, { recursive: true, mode: directoryMode });
  options.metadata.migrate("volume", migrations);
  const volumes = new LocalVolumes(options.root, options.metadata, options.log, options.news);
  await volumes.sweep();
  return volumes;
}

class LocalVolumes implements Volumes {
  readonly #mutex = new KeyedMutex();

  constructor(
    private readonly root: string,
    private readonly metadata: Metadata,
    private readonly log: Logger,
    private readonly news: (news: VolumeNews) => void,
  ) {}

  async create(request: VolumeCreateRequest): Promise<Volume> {
    const anonymous = (request.Name ?? "") === "";
    const name = anonymous ? newId() : (request.Name ?? "");
    const driver = request.Driver || "local";
    if (driver !== "local") {
      const text = `create ${name}: error looking up volume plugin ${driver}: plugin ${JSON.stringify(driver)} not found`;
      throw new EngineError("not-found", name, text);
    }
    checkVolumeName(name);
    const driverOptions = request.DriverOpts ?? {};
    checkDriverOptions(name, driverOptions);
    return this.#mutex.run(name, async () => {
      const known = this.#row(name);
      if (known !== null) {
        mkdirSync(this.#data(name), { recursive: true });
        return this.#volume(known);
      }
      mkdirSync(join(this.root, name), { recursive: true, mode: directoryMode });
      mkdirSync(this.#data(name), { recursive: true, mode: 0o755 });
      syncDirectory(join(this.root, name));
      syncDirectory(this.root);
      const labels = { ...request.Labels, ...(anonymous && { [anonymousLabel]: "" }) };
      const row: Row = {
        name,
        created_at: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
        labels: request.Labels === undefined && !anonymous ? null : JSON.stringify(labels),
        options: Object.keys(driverOptions).length === 0 ? null : JSON.stringify(driverOptions),
        anonymous: anonymous ? 1 : 0,
      };
      this.metadata
        .query("INSERT INTO volume (name, created_at, labels, options, anonymous) VALUES (?, ?, ?, ?, ?)")
        .run(row.name, row.created_at, row.labels, row.options, row.anonymous);
      this.#tell("create", name);
      return this.#volume(row);
    });
  }

  async inspect(name: string): Promise<Volume> {
    return this.#volume(this.#find(name));
  }

  async list(filters: Filters = {}): Promise<{ Volumes: Volume[]; Warnings: string[] }> {
    const matches = volumeFilter(filters, ["dangling", "driver", "label", "name"]);
    const rows = this.metadata.query<Row>("SELECT * FROM volume ORDER BY name").all();
    const used = new Set(
      this.metadata
        .query<{ volume: string }>("SELECT DISTINCT volume FROM volume_use")
        .all()
        .map((use) => use.volume),
    );
    const found = rows.map((row) => this.#volume(row)).filter((volume) => matches(volume, used.has(volume.Name)));
    return { Volumes: found, Warnings: [] };
  }

  async remove(name: string, force = false): Promise<void> {
    await this.#mutex.run(name, async () => {
      if (this.#row(name) === null && force) return;
      this.#find(name);
      const users = this.#users(name);
      if (users.length > 0) {
        throw new EngineError("conflict", name, `remove ${name}: volume is in use - [${users.join(", ")}]`);
      }
      await this.#destroy(name);
    });
  }

  async prune(filters: Filters = {}): Promise<{ VolumesDeleted: string[]; SpaceReclaimed: number }> {
    const { all = [], ...rest } = filters;
    const everything = all.some((value) => /^(1|t|true)$/i.test(value));
    const matches = volumeFilter(rest, ["label", "label!"]);
    const VolumesDeleted: string[] = [];
    let SpaceReclaimed = 0;
    for (const { name } of this.metadata.query<Row>("SELECT * FROM volume ORDER BY name").all()) {
      await this.#mutex.run(name, async () => {
        const row = this.#row(name);
        if (row === null || this.#users(name).length > 0 || !matches(this.#volume(row), false)) return;
        if (!everything && row.anonymous === 0) return;
        const bytes = await directoryUsage(this.#data(name));
        // Measuring took time: somebody may use it by now.
        if (this.#users(name).length > 0) return;
        await this.#destroy(name);
        VolumesDeleted.push(name);
        SpaceReclaimed += bytes;
      });
    }
    return { VolumesDeleted, SpaceReclaimed };
  }

  acquire(name: string, containerId: string): void {
    this.#find(name);
    this.metadata.query("INSERT OR IGNORE INTO volume_use VALUES (?, ?)").run(name, containerId);
  }

  release(containerId: string): void {
    const names = this.metadata
      .query<{ volume: string }>("DELETE FROM volume_use WHERE container = ? RETURNING volume")
      .all(containerId);
    for (const { volume } of names) this.#unmountIdle(volume);
  }

  retain(live: ReadonlySet<string>): void {
    const users = this.metadata.query<{ container: string }>("SELECT DISTINCT container FROM volume_use").all();
    for (const { container } of users) if (!live.has(container)) this.release(container);
  }

  isAnonymous(name: string): boolean {
    return this.#row(name)?.anonymous === 1;
  }

  mount(name: string): void {
    const row = this.#find(name);
    const data = this.#data(name);
    mkdirSync(data, { recursive: true, mode: 0o755 });
    if (row.options === null || mountsBelow(data).includes(data)) return;
    const { source, type, flags, data: text } = mountCall(JSON.parse(row.options) as Record<string, string>);
    if (source === "" || type === "") return;
    try {
      mount(source, data, type, flags, text);
      const bindReadOnly = mountFlag.bind | mountFlag.rdonly;
      if ((flags & bindReadOnly) === bindReadOnly) mount("none", data, "none", mountFlag.remount | flags, "");
    } catch (cause) {
      unmount(data);
      const said = `failed to mount local volume: mount ${source}:${data}, data: ${text}: ${errorMessage(cause)}`;
      throw new EngineError("internal", name, said, { cause });
    }
    this.#tell("mount", name);
  }

  async copyUp(name: string, rootfs: string, path: string): Promise<void> {
    const data = this.#data(name);
    const marker = join(this.root, name, "copying");
    const entries = readdirSync(data);
    // A file system of its own, freshly made, holds only this.
    const empty = entries.length === 0 || (entries.length === 1 && entries[0] === "lost+found");
    if (!empty && !readdirSync(join(this.root, name)).includes("copying")) return;
    await this.#mutex.run(name, async () => {
      using root = new RootDirectory(rootfs);
      const from = openDirectory(root, path);
      if (from === null) return;
      const to = openSync(data, constants.O_RDONLY | constants.O_DIRECTORY);
      try {
        writeFileSync(marker, "");
        await copyTree(from, to);
        copyDirectoryAttributes(from, to);
        rmSync(marker, { force: true });
      } finally {
        closeSync(from);
        closeSync(to);
      }
    });
  }

  /** Removes directories without a row. Files that are not ours to know (a backup, say) stay. */
  async sweep(): Promise<void> {
    const known = new Set(
      this.metadata
        .query<Row>("SELECT * FROM volume")
        .all()
        .map((row) => row.name),
    );
    for (const entry of readdirSync(this.root, { withFileTypes: true })) {
      if (!entry.isDirectory() || known.has(entry.name)) continue;
      this.log.warn("removing a volume directory without a row", { directory: entry.name });
      await this.#discard(entry.name);
    }
  }

  async #destroy(name: string): Promise<void> {
    this.metadata.query("DELETE FROM volume WHERE name = ?").run(name);
    await this.#discard(name);
    this.#tell("destroy", name);
  }

  async #discard(name: string): Promise<void> {
    const directory = join(this.root, name);
    try {
      for (const point of mountsBelow(directory).reverse()) unmount(point);
      // A mount that could not be taken away must never be emptied: that would be somebody else's data.
      if (mountsBelow(directory).length > 0) throw new Error(`${directory} is still a mount point`);
      // Out of the way first: a volume of the same name can be made while a large one is being deleted.
      const doomed = join(this.root, `.removing-${newId().slice(0, 12)}`);
      await rename(directory, doomed);
      await rm(doomed, { recursive: true, force: true });
    } catch (error) {
      this.log.warn("a removed volume left its directory", { directory, error });
    }
  }

  #unmountIdle(name: string): void {
    const row = this.#row(name);
    if (row === null || row.options === null || this.#users(name).length > 0) return;
    try {
      if (unmount(this.#data(name))) this.#tell("unmount", name);
    } catch (error) {
      this.log.warn("cannot unmount a volume", { volume: name, error });
    }
  }

  #data(name: string): string {
    return join(this.root, name, "_data");
  }

  #row(name: string): Row | null {
    return this.metadata.query<Row>("SELECT * FROM volume WHERE name = ?").get(name);
  }

  #find(name: string): Row {
    const row = this.#row(name);
    if (row === null) throw new EngineError("not-found", name, `get ${name}: no such volume`);
    return row;
  }

  #users(name: string): string[] {
    return this.metadata
      .query<{ container: string }>("SELECT container FROM volume_use WHERE volume = ? ORDER BY container")
      .all(name)
      .map((use) => use.container);
  }

  #volume(row: Row): Volume {
    return {
      CreatedAt: row.created_at,
      Driver: "local",
      Labels: row.labels === null ? null : (JSON.parse(row.labels) as Record<string, string>),
      Mountpoint: this.#data(row.name),
      Name: row.name,
      Options: row.options === null ? null : (JSON.parse(row.options) as Record<string, string>),
      Scope: "local",
    };
  }

  #tell(action: VolumeNews["action"], name: string): void {
    this.news({ action, name, attributes: { driver: "local" } });
  }
}

function openDirectory(root: RootDirectory, path: string): number | null {
  try {
    return root.open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    if (error instanceof SyscallError && ["ENOENT", "ENOTDIR", "ELOOP"].includes(error.code)) return null;
    throw error;
  }
}

/** @throws EngineError `invalid` "invalid filter 'X'" */
function volumeFilter(filters: Filters, allowed: readonly string[]): (volume: Volume, inUse: boolean) => boolean {
  for (const key of Object.keys(filters)) {
    if (!allowed.includes(key)) throw new EngineError("invalid", key, `invalid filter '${key}'`);
  }
  const { dangling, driver, label = [], "label!": unlabel = [], name } = filters;
  const wanted = dangling?.map((value) => {
    if (/^(1|t|true|0|f|false)$/i.test(value)) return /^(1|t|true)$/i.test(value);
    throw new EngineError("invalid", value, `invalid filter 'dangling=[${value}]'`);
  });
  return (volume, inUse) => {
    const has = (text: string) => {
      const [key = "", ...value] = text.split("=");
      const actual = volume.Labels?.[key];
      return actual !== undefined && (value.length === 0 || actual === value.join("="));
    };
    if (wanted !== undefined && !wanted.includes(!inUse)) return false;
    if (driver !== undefined && driver.length > 0 && !driver.includes(volume.Driver)) return false;
    if (name !== undefined && name.length > 0 && !name.some((part) => volume.Name.includes(part))) return false;
    return label.every(has) && !(unlabel.length > 0 && unlabel.every(has));
  };
}
