import { EngineError } from "#base/errors.ts";
import type { MountPoint } from "#spec/engine-api/container.ts";
import type { Digest } from "#spec/oci/digest.ts";
import type { Metadata } from "#store/metadata/metadata.ts";
import type { NetworkSandbox } from "#subsystems/network/network.ts";
import type { ContainerDefinition } from "./container.ts";
import type { ContainerEvent, ContainerState, ExitRecord } from "./state.ts";
import { next } from "./state.ts";
import { StreamSwitch } from "./stream-switch.ts";
import { Waiters } from "./waiters.ts";

/** What of a container is kept in its row and may change. */
export interface ContainerRecord {
  readonly definition: ContainerDefinition;
  readonly state: ContainerState;
  readonly mounts: readonly MountPoint[];
  /** Set while a task exists or is being made: names what the network holds for it. */
  readonly sandbox: NetworkSandbox | null;
  readonly restartCount: number;
  /** Somebody asked for the stop: `unless-stopped` stays down after a restart of the daemon. */
  readonly stopRequested: boolean;
}

/** One container in memory: its record, and what only lives as long as the daemon. */
export class Container {
  record: ContainerRecord;
  readonly waiters = new Waiters();
  readonly streams = new StreamSwitch();
  /** Delay before the run now under way; 0 when the user started it. */
  lastDelayMs = 0;
  restartTimer: ReturnType<typeof setTimeout> | null = null;
  /** Settles when what a finished task held is given back; a new start waits for it. */
  tearDown: Promise<void> = Promise.resolve();
  /** Settles when the current task has ended and the row says so; null before the first start. */
  ended: Promise<void> | null = null;
  /** A restart stops the container without meaning its end: `--rm` must not take it then. */
  keepOnExit = false;

  constructor(record: ContainerRecord) {
    this.record = record;
  }

  /** A pending restart will not come. */
  cancelRestart(): void {
    if (this.restartTimer !== null) clearTimeout(this.restartTimer);
    this.restartTimer = null;
  }

  get id(): string {
    return this.record.definition.id;
  }
  get name(): string {
    return this.record.definition.name;
  }
  get state(): ContainerState {
    return this.record.state;
  }
}

interface Row {
  definition: string;
  state: string;
  mounts: string;
  sandbox: string | null;
  restart_count: number;
  stop_requested: number;
}

const migrations = [
  `CREATE TABLE container (
     id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, definition TEXT NOT NULL, state TEXT NOT NULL, mounts TEXT NOT NULL,
     sandbox TEXT, restart_count INTEGER NOT NULL, stop_requested INTEGER NOT NULL
   ) STRICT`,
];

/** All containers: rows in SQLite, the same in memory. A change is in the row before it is seen anywhere. */
export class ContainerRegistry {
  readonly #byId = new Map<string, Container>();
  readonly #idByName = new Map<string, string>();
  readonly #metadata: Metadata;

  constructor(metadata: Metadata) {
    this.#metadata = metadata;
    metadata.migrate("container", migrations);
    for (const row of metadata.query<Row>("SELECT * FROM container").all()) {
      this.#remember(
        new Container({
          definition: JSON.parse(row.definition) as ContainerDefinition,
          state: JSON.parse(row.state) as ContainerState,
          mounts: JSON.parse(row.mounts) as MountPoint[],
          sandbox: row.sandbox === null ? null : (JSON.parse(row.sandbox) as NetworkSandbox),
          restartCount: row.restart_count,
          stopRequested: row.stop_requested !== 0,
        }),
      );
    }
  }

  #remember(container: Container): void {
    this.#byId.set(container.id, container);
    this.#idByName.set(container.name, container.id);
  }

  /** @throws EngineError `conflict` when the name is taken */
  add(record: ContainerRecord): Container {
    const { id, name } = record.definition;
    this.assertNameFree(name);
    this.#metadata
      .query("INSERT INTO container VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
      .run(
        id,
        name,
        JSON.stringify(record.definition),
        JSON.stringify(record.state),
        JSON.stringify(record.mounts),
        record.sandbox === null ? null : JSON.stringify(record.sandbox),
        record.restartCount,
        record.stopRequested ? 1 : 0,
      );
    const container = new Container(record);
    this.#remember(container);
    return container;
  }

  /** @throws EngineError `conflict` with Docker's text */
  assertNameFree(name: string): void {
    const owner = this.#idByName.get(name);
    if (owner === undefined) return;
    throw new EngineError(
      "conflict",
      name,
      `Conflict. The container name "/${name}" is already in use by container "${owner}". You have to remove (or rename) that container to be able to reuse that name.`,
    );
  }

  isNameTaken(name: string): boolean {
    return this.#idByName.has(name);
  }

  /** Applies `event` to the state machine and stores the outcome, together with other changes, in one commit. */
  transition(
    container: Container,
    event: ContainerEvent,
    also: Partial<Omit<ContainerRecord, "definition" | "state">> = {},
  ): void {
    this.update(container, { ...also, state: next(container.state, event) });
  }

  /** A change that only says what a start under way holds; after a power cut nothing of that is left anyway. */
  note(container: Container, changes: Pick<ContainerRecord, "sandbox">): void {
    this.#metadata.relaxed(() => this.update(container, changes));
  }

  update(container: Container, changes: Partial<Omit<ContainerRecord, "definition">>): void {
    const record = { ...container.record, ...changes };
    this.#metadata
      .query(
        "UPDATE container SET state = ?, mounts = ?, sandbox = ?, restart_count = ?, stop_requested = ? WHERE id = ?",
      )
      .run(
        JSON.stringify(record.state),
        JSON.stringify(record.mounts),
        record.sandbox === null ? null : JSON.stringify(record.sandbox),
        record.restartCount,
        record.stopRequested ? 1 : 0,
        container.id,
      );
    container.record = record;
  }

  /** Name or limits changed. @throws EngineError `conflict` when the new name is taken */
  redefine(container: Container, definition: ContainerDefinition): void {
    if (definition.name !== container.name) this.assertNameFree(definition.name);
    this.#metadata
      .query("UPDATE container SET name = ?, definition = ? WHERE id = ?")
      .run(definition.name, JSON.stringify(definition), container.id);
    this.#idByName.delete(container.name);
    container.record = { ...container.record, definition };
    this.#idByName.set(definition.name, container.id);
  }

  remove(container: Container): void {
    this.#metadata.query("DELETE FROM container WHERE id = ?").run(container.id);
    this.#byId.delete(container.id);
    this.#idByName.delete(container.name);
  }

  /** Newest last. */
  all(): Container[] {
    return [...this.#byId.values()];
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  containersOf(imageId: Digest): { id: string; running: boolean }[] {
    return this.all()
      .filter((container) => container.record.definition.imageId === imageId)
      .map((container) => ({ id: container.id, running: "task" in container.state }));
  }

  /**
   * By full id, name (with or without `/`), then unique id prefix: Docker's order.
   * @throws EngineError `not-found`; `invalid` when a prefix fits several
   */
  find(reference: string): Container {
    const text = reference.startsWith("/") ? reference.slice(1) : reference;
    const exact = this.#byId.get(text) ?? this.#byId.get(this.#idByName.get(text) ?? "");
    if (exact !== undefined) return exact;
    if (/^[0-9a-f]+$/.test(text)) {
      const matches = this.all().filter((container) => container.id.startsWith(text));
      if (matches.length > 1)
        throw new EngineError("invalid", reference, `multiple IDs found with provided prefix: ${text}`);
      const [only] = matches;
      if (only !== undefined) return only;
    }
    throw new EngineError("not-found", reference, `No such container: ${reference}`);
  }
}

/** The exit of a container whose end nobody saw (the host went down): Docker's 255. */
export function unseenExit(at: string): ExitRecord {
  return { code: 255, oomKilled: false, at, error: "" };
}
