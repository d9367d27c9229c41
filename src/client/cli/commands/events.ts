import type { EventMessage } from "#spec/engine-api/event.ts";
import { command } from "../command.ts";
import { Struct } from "../format/go-value.ts";
import { GoTemplate } from "../format/template.ts";
import { filterFlag, filterQuery } from "./filter.ts";

/** `2026-11-24T12:00:00.123456789Z container start ID (image=x, name=y)` */
function eventLine(event: EventMessage): string {
  const ns = String(event.timeNano);
  const time = `${new Date(event.time * 1000).toISOString().slice(0, 19)}.${ns.slice(-9).padStart(9, "0")}Z`;
  const attributes = Object.entries(event.Actor.Attributes)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`);
  return `${time} ${event.Type} ${event.Action} ${event.Actor.ID}${attributes.length === 0 ? "" : ` (${attributes.join(", ")})`}`;
}

export const events = command({
  path: "system events",
  aliases: ["events"],
  usage: "",
  summary: "Get real time events from the server",
  args: { min: 0, max: 0 },
  flags: {
    filter: filterFlag,
    format: {
      kind: "string",
      help: "Format output using a custom template: 'json': Print in JSON format 'TEMPLATE': Print output using the given Go template.",
    },
    since: { kind: "string", help: "Show all events created since timestamp" },
    until: { kind: "string", help: "Stream events until this timestamp" },
  },
  async run({ flags, engine, out }) {
    const { format } = flags;
    const template = format === undefined || format === "json" ? null : new GoTemplate(format);
    const query = { filters: filterQuery(flags.filter), since: flags.since, until: flags.until };
    for await (const event of engine.messages<EventMessage>("GET", "/events", { query })) {
      if (format === "json") out.line(JSON.stringify(event));
      else if (template !== null) out.line(template.render(eventStruct(event)));
      else out.line(eventLine(event));
    }
  },
});

function eventStruct(event: EventMessage): Struct {
  const { Type, Action, Actor, time, timeNano, scope, status = "", id = "", from = "" } = event;
  return new Struct("*events.Message", {
    Status: status,
    ID: id,
    From: from,
    Type,
    Action,
    Actor: new Struct("events.Actor", { ID: Actor.ID, Attributes: Actor.Attributes }),
    Scope: scope,
    Time: time,
    TimeNano: timeNano,
  });
}
