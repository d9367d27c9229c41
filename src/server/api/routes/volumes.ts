import type { Volumes } from "#subsystems/volume/volume.ts";
import { filters, flag } from "../query.ts";
import { created, noContent, ok } from "../reply.ts";
import { parseVolumeRequest } from "../request-shapes.ts";
import type { Routes } from "../router.ts";

/** Everything under /volumes. */
export function volumeRoutes({ volumes }: { readonly volumes: Volumes }): Routes {
  return {
    "GET /volumes": async ({ query }) => ok(await volumes.list(filters(query))),
    "POST /volumes/create": async (request) => created(await volumes.create(parseVolumeRequest(await request.json()))),
    "POST /volumes/prune": async ({ query }) => ok(await volumes.prune(filters(query))),
    "GET /volumes/{name}": async ({ params }) => ok(await volumes.inspect(params.name ?? "")),
    "DELETE /volumes/{name}": async ({ params, query }) => {
      await volumes.remove(params.name ?? "", flag(query, "force"));
      return noContent;
    },
  };
}
