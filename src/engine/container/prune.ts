import { EngineError } from "#base/errors.ts";
import type { Filters } from "#spec/engine-api/event.ts";
import { parseTimestamp } from "#spec/engine-api/units.ts";
import { containerPredicate } from "./list.ts";
import { removeFromDisk } from "./remove.ts";
import type { Rooms } from "./rooms.ts";
import { isLive } from "./state.ts";

/** Removes every container that is not live and fits `until` and `label`. */
export async function pruneContainers(
  rooms: Rooms,
  filters: Filters,
): Promise<{ ContainersDeleted: string[]; SpaceReclaimed: number }> {
  const { until: untilValues = [], ...labels } = filters;
  for (const key of Object.keys(labels)) {
    if (key !== "label" && key !== "label!") throw new EngineError("invalid", key, `invalid filter '${key}'`);
  }
  if (untilValues.length > 1) throw new EngineError("invalid", "until", "more than one until filter specified");
  const [until] = untilValues;
  const limitMs =
    until === undefined ? Number.POSITIVE_INFINITY : Number(parseTimestamp(until, new Date()) / 1_000_000n);
  const matches = containerPredicate(labels, { registry: rooms.registry, imageId: () => null });
  const deleted: string[] = [];
  let spaceReclaimed = 0;
  for (const container of rooms.registry.all()) {
    if (Date.parse(container.record.definition.createdAt) > limitMs || !matches(container)) continue;
    await rooms.locks.run(container.id, async () => {
      if (isLive(container.state) || container.state.status === "restarting" || !rooms.registry.has(container.id))
        return;
      spaceReclaimed += await rooms.snapshots.usage(container.id).catch(() => 0);
      await removeFromDisk(rooms, container, { removeVolumes: false, exitCode: 0 });
      deleted.push(container.id);
    });
  }
  rooms.events.publish({
    type: "container",
    action: "prune",
    id: "",
    attributes: { reclaimed: String(spaceReclaimed) },
  });
  return { ContainersDeleted: deleted, SpaceReclaimed: spaceReclaimed };
}
