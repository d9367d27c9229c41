import type { EventMessage, Filters } from "#spec/engine-api/event.ts";

/** Whether an event passes Docker's filters: keys are joined by "and", the values of a key by "or". */
export function matchesEvent(message: EventMessage, filters: Filters): boolean {
  return Object.entries(filters).every(
    ([key, values]) => values.length === 0 || values.some((value) => matchesOne(message, key, value)),
  );
}

function matchesOne(message: EventMessage, key: string, value: string): boolean {
  const { ID, Attributes } = message.Actor;
  switch (key) {
    case "type":
      return message.Type === value;
    case "event":
      // "exec_create: sh -c true" is filtered for as "exec_create"; "health_status: healthy" likewise.
      return message.Action === value || message.Action.startsWith(`${value}:`);
    case "scope":
      return message.scope === value;
    case "label": {
      const equals = value.indexOf("=");
      if (equals < 0) return value in Attributes;
      return Attributes[value.slice(0, equals)] === value.slice(equals + 1);
    }
    case "container":
    case "image":
    case "volume":
    case "network":
    case "daemon":
      return matchesSubject(message, key, value, ID, Attributes);
    default:
      return false;
  }
}

function matchesSubject(
  message: EventMessage,
  key: string,
  value: string,
  id: string,
  attributes: Record<string, string>,
): boolean {
  if (key === "image" && message.Type === "container") {
    const image = attributes.image ?? "";
    return image === value || image.split(":")[0] === value;
  }
  if (message.Type !== key) return false;
  const name = attributes.name ?? "";
  return id === value || name === value || (value.length > 0 && id.startsWith(value)) || name.split(":")[0] === value;
}
