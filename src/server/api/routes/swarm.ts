import { EngineError } from "#base/errors.ts";
import { ok } from "../reply.ts";
import type { Handler, Routes } from "../router.ts";

/** An engine whose swarm is inactive, and which has no plugins, answers like this. */
const noSwarm: Handler = ({ method, params }) => {
  throw new EngineError(
    "unavailable",
    `${method} ${JSON.stringify(params)}`,
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
  );
};

const swarmPaths = ["/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs"];

export const swarmRoutes: Routes = {
  ...Object.fromEntries(
    swarmPaths.flatMap((path) => [
      [`GET ${path}`, noSwarm],
      [`GET ${path}/{rest:path}`, noSwarm],
      [`POST ${path}/{rest:path}`, noSwarm],
      [`DELETE ${path}/{rest:path}`, noSwarm],
    ]),
  ),
  "GET /plugins": () => ok([]),
};
