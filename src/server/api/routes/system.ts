import type { Events } from "#engine/system/events.ts";
import type { SystemInformation } from "#engine/system/information.ts";
import { filters, timeSeconds } from "../query.ts";
import { ok, type Reply } from "../reply.ts";
import type { Routes } from "../router.ts";

const pingHeaders = {
  "Builder-Version": "1",
  Swarm: "inactive",
  "Cache-Control": "no-cache, no-store, must-revalidate",
  Pragma: "no-cache",
};

/** Ping, version, info, events, disk usage. */
export function systemRoutes({
  events,
  system,
}: {
  readonly events: Events;
  readonly system: SystemInformation;
}): Routes {
  const ping = (): Reply => ({
    kind: "text",
    status: 200,
    contentType: "text/plain; charset=utf-8",
    body: "OK",
    headers: pingHeaders,
  });
  return {
    "GET /_ping": ping,
    "HEAD /_ping": () => ({
      kind: "empty",
      status: 200,
      headers: { ...pingHeaders, "Content-Type": "text/plain; charset=utf-8" },
    }),
    "GET /version": () => ok(system.version()),
    "GET /info": async () => ok(await system.info()),
    "GET /system/df": async () => ok(await system.diskUsage()),
    "GET /events": ({ query, signal }) => {
      const since = timeSeconds(query, "since");
      const until = timeSeconds(query, "until");
      const options = {
        filters: filters(query),
        ...(since !== undefined && { since }),
        ...(until !== undefined && { until }),
      };
      return { kind: "messages", messages: events.subscribe(options, signal) };
    },
  };
}
