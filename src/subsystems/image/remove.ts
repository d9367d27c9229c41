import { EngineError } from "#base/errors.ts";
import { shortId } from "#base/ids.ts";
import type { ImageDeleteItem } from "#spec/engine-api/image.ts";
import { chainIds } from "#spec/oci/digest.ts";
import { familiarString, parseReference, withDefaultTag } from "#spec/reference/reference.ts";
import type { ImageRow } from "./image-rows.ts";
import type { ImageStore } from "./image-store.ts";

/**
 * `rmi`: a name is untagged, and the image goes with its last name; an id goes with its one name, or with all when forced.
 * @throws EngineError `conflict` in Docker's words while containers or other names hold it
 */
export async function removeImage(store: ImageStore, nameOrId: string, force: boolean): Promise<ImageDeleteItem[]> {
  const image = store.find(nameOrId);
  const names = store.rows.namesOf(image.id).map((row) => row.name);
  const byName = nameMeant(nameOrId, names);
  const users = store.rooms.users.containersOf(image.id);
  if (byName !== null) {
    if (names.length > 1) return [untag(store, image, byName)];
    const user = users[0];
    if (user !== undefined && !force) {
      throw new EngineError(
        "conflict",
        nameOrId,
        `conflict: unable to remove repository reference "${nameOrId}" (must force) - container ${shortId(user.id)} is using its referenced image ${shortId(image.id)}`,
      );
    }
    // A forced removal of a name whose image is in use leaves the image, without a name.
    if (user !== undefined) return [untag(store, image, byName)];
    return [untag(store, image, byName), ...(await dropImage(store, image))];
  }
  refuseById(image, names, users, force);
  const untagged = names.map((name) => untag(store, image, name));
  return [...untagged, ...(await dropImage(store, image))];
}

function nameMeant(text: string, names: readonly string[]): string | null {
  try {
    const name = familiarString(withDefaultTag(parseReference(text)));
    return names.includes(name) ? name : null;
  } catch {
    return null;
  }
}

function refuseById(
  image: ImageRow,
  names: readonly string[],
  users: readonly { id: string; running: boolean }[],
  force: boolean,
): void {
  const id = shortId(image.id);
  const refuse = (way: string, why: string) =>
    new EngineError("conflict", image.id, `conflict: unable to delete ${id} (${way}) - ${why}`);
  const running = users.find((user) => user.running);
  if (running !== undefined)
    throw refuse("cannot be forced", `image is being used by running container ${shortId(running.id)}`);
  if (force && users.length === 0) return;
  const stopped = users[0];
  if (stopped !== undefined) {
    // The container's snapshot lies on the image's layers: they must stay.
    throw refuse(
      force ? "cannot be forced" : "must be forced",
      `image is being used by stopped container ${shortId(stopped.id)}`,
    );
  }
  if (names.length > 1) throw refuse("must be forced", "image is referenced in multiple repositories");
}

function untag(store: ImageStore, image: ImageRow, name: string): ImageDeleteItem {
  store.rows.removeName(name);
  store.rooms.news({ action: "untag", id: image.id, name });
  return { Untagged: name };
}

async function dropImage(store: ImageStore, image: ImageRow): Promise<ImageDeleteItem[]> {
  const config = await store.config(image.id);
  const chains = chainIds(config.rootfs.diff_ids);
  await store.drop(image);
  store.rooms.news({ action: "delete", id: image.id, name: image.id });
  const gone: ImageDeleteItem[] = [{ Deleted: image.id }];
  for (const chain of [...chains].reverse()) {
    if ((await store.rooms.snapshots.stat(chain)) === null) gone.push({ Deleted: chain });
  }
  return gone;
}
