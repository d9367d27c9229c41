import { EngineError } from "#base/errors.ts";
import { shortId } from "#base/ids.ts";
import type { ImageDeleteItem } from "#spec/engine-api/image.ts";
import type { ChainId } from "#spec/oci/digest.ts";
import { familiarString, parseReference, withDefaultTag } from "#spec/reference/reference.ts";
import type { ImageRow } from "./image-rows.ts";
import type { ImageStore } from "./image-store.ts";

/**
 * `rmi`: a name is untagged, and the image goes with its last name; an id goes with its one name, or with all when forced.
 * Decides and changes the rows in one step, without waiting; the caller collects the bytes then.
 * @throws EngineError `conflict` in Docker's words while containers or other names hold it; nothing is changed then
 */
export function removeImage(store: ImageStore, nameOrId: string, force: boolean): ImageDeleteItem[] {
  const image = store.find(nameOrId);
  const names = store.rows.namesOf(image.id).map((row) => row.name);
  const byName = nameMeant(nameOrId, names);
  if (byName === null) {
    refuseInUse(store, image, force);
    if (names.length > 1 && !force) throw conflict(image, false, "image is referenced in multiple repositories");
    return [...names.map((name) => untag(store, image, name)), ...dropImage(store, image)];
  }
  if (names.length > 1) return [untag(store, image, byName)];
  const user = store.rooms.users.containersOf(image.id)[0];
  if (user !== undefined && !force) {
    throw new EngineError(
      "conflict",
      nameOrId,
      `conflict: unable to remove repository reference "${nameOrId}" (must force) - container ${shortId(user.id)} is using its referenced image ${shortId(image.id)}`,
    );
  }
  const untagged = untag(store, image, byName);
  // By force even a running container's image loses its name, but not its bytes.
  return runningOn(store, image) === undefined ? [untagged, ...dropImage(store, image)] : [untagged];
}

/** The name among `names` that a text spells; null when it is an id. */
function nameMeant(text: string, names: readonly string[]): string | null {
  try {
    const name = familiarString(withDefaultTag(parseReference(text)));
    return names.includes(name) ? name : null;
  } catch {
    return null;
  }
}

function runningOn(store: ImageStore, image: ImageRow): string | undefined {
  return store.rooms.users.containersOf(image.id).find((user) => user.running)?.id;
}

function conflict(image: ImageRow, hard: boolean, why: string): EngineError {
  const way = hard ? "cannot be forced" : "must be forced";
  return new EngineError("conflict", image.id, `conflict: unable to delete ${shortId(image.id)} (${way}) - ${why}`);
}

function refuseInUse(store: ImageStore, image: ImageRow, force: boolean): void {
  const running = runningOn(store, image);
  if (running !== undefined)
    throw conflict(image, true, `image is being used by running container ${shortId(running)}`);
  // Forced, a stopped container keeps the layers it lies on; they go after it.
  const stopped = store.rooms.users.containersOf(image.id)[0];
  if (stopped !== undefined && !force)
    throw conflict(image, false, `image is being used by stopped container ${shortId(stopped.id)}`);
}

function untag(store: ImageStore, image: ImageRow, name: string): ImageDeleteItem {
  store.rows.removeName(name);
  store.rooms.news({ action: "untag", id: image.id, name });
  return { Untagged: name };
}

function dropImage(store: ImageStore, image: ImageRow): ImageDeleteItem[] {
  const chains: ChainId[] = store.forget(image);
  store.rooms.news({ action: "delete", id: image.id, name: image.id });
  return [{ Deleted: image.id }, ...chains.map((chain) => ({ Deleted: chain }))];
}
