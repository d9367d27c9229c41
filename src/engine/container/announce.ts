import type { Events } from "#engine/system/events.ts";
import type { ContainerDefinition } from "./container.ts";

/** Publishes a container event with the attributes that Docker gives: labels, image, name, and what the action adds. */
export function announce(
  events: Events,
  definition: ContainerDefinition,
  action: string,
  extra: Readonly<Record<string, string>> = {},
): void {
  events.publish({
    type: "container",
    action,
    id: definition.id,
    attributes: { ...definition.config.Labels, ...extra, image: definition.config.Image, name: definition.name },
  });
}
