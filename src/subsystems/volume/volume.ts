import type { Filters } from "#spec/engine-api/event.ts";
import type { Volume, VolumeCreateRequest } from "#spec/engine-api/volume.ts";

/** Named and anonymous volumes under `<data-root>/volumes/<name>/_data`. */
export interface Volumes {
  /** Idempotent for the same name and driver. @throws EngineError `invalid` on a bad name or unknown driver */
  create(request: VolumeCreateRequest): Promise<Volume>;
  /** @throws EngineError `not-found` "get NAME: no such volume" */
  inspect(name: string): Promise<Volume>;
  list(filters?: Filters): Promise<{ Volumes: Volume[]; Warnings: string[] }>;
  /** @throws EngineError `conflict` "remove NAME: volume is in use - [IDS]" */
  remove(name: string, force?: boolean): Promise<void>;
  prune(filters?: Filters): Promise<{ VolumesDeleted: string[]; SpaceReclaimed: number }>;
  /** Notes that a container uses a volume (row), so that remove and prune spare it. Idempotent. */
  acquire(name: string, containerId: string): void;
  /** Forgets all uses by a container. Idempotent. */
  release(containerId: string): void;
  /** Forgets the uses of every container that is not among `live`: a crash during create can leave such. */
  retain(live: ReadonlySet<string>): void;
  /** Whether the volume was made without a name, for a container: `rm -v` and `--rm` remove these. */
  isAnonymous(name: string): boolean;
  /**
   * Makes sure that the volume's directory is there and, with driver options, mounted; called before each start.
   * Idempotent; unmounted when its last user is released. @throws EngineError `internal` when the mount fails
   */
  mount(name: string): void;
  /**
   * Docker's copy-up: when the volume is empty, copies what the image has at `path` (contents, owners, modes, xattrs)
   * from `rootfs` into it, once. `path` is resolved inside `rootfs` by descriptor and never leaves it.
   */
  copyUp(name: string, rootfs: string, path: string): Promise<void>;
}
