import type { Networks } from "#subsystems/network/network.ts";
import { filters } from "../query.ts";
import { ok } from "../reply.ts";
import type { Routes } from "../router.ts";

/** Reading networks; the daemon has bridge, host and none. */
export function networkRoutes({ networks }: { readonly networks: Networks }): Routes {
  return {
    "GET /networks": ({ query }) => ok(networks.list(filters(query))),
    "GET /networks/{id}": ({ params }) => ok(networks.inspect(params.id ?? "")),
  };
}
