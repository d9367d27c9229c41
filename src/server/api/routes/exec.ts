import { EngineError } from "#base/errors.ts";
import type { Containers } from "#engine/container/container.ts";
import { number } from "../query.ts";
import { created, ok } from "../reply.ts";
import { parseExecRequest, parseExecStart } from "../request-shapes.ts";
import type { Routes } from "../router.ts";

/** Commands in running containers. */
export function execRoutes({ containers }: { readonly containers: Containers }): Routes {
  return {
    "POST /containers/{id}/exec": async (request) =>
      created(await containers.execCreate(request.params.id ?? "", parseExecRequest(await request.json()))),
    "POST /exec/{id}/start": async (request) => {
      const id = request.params.id ?? "";
      const { Detach: detach = false, Tty: tty = false, ConsoleSize: size } = parseExecStart(await request.json());
      const { ProcessConfig: process } = await containers.execInspect(id);
      const [height, width] = size ?? [];
      const consoleSize =
        height !== undefined && width !== undefined && height > 0 ? { consoleSize: [height, width] as const } : {};
      if (detach) {
        await containers.execStart(id, { detach, tty, ...consoleSize });
        return { kind: "empty", status: 200 };
      }
      return {
        kind: "hijack",
        terminal: process.tty,
        open: async () => {
          const stream = await containers.execStart(id, { detach, tty, ...consoleSize });
          if (stream === null) throw new EngineError("internal", id, "the exec has no stream");
          return stream;
        },
      };
    },
    "POST /exec/{id}/resize": async (request) => {
      await containers.execResize(
        request.params.id ?? "",
        number(request.query, "w") ?? 0,
        number(request.query, "h") ?? 0,
      );
      return { kind: "empty", status: 200 };
    },
    "GET /exec/{id}/json": async (request) => ok(await containers.execInspect(request.params.id ?? "")),
  };
}
