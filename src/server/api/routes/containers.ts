import { EngineError } from "#base/errors.ts";
import type { Containers } from "#engine/container/container.ts";
import type { WaitCondition } from "#spec/engine-api/container.ts";
import type { StreamChunk } from "#spec/engine-api/frame.ts";
import { filters, flag, number, timeNs } from "../query.ts";
import { created, noContent, ok, type Reply } from "../reply.ts";
import { parseCreateRequest } from "../request-shapes.ts";
import type { ApiRequest, Routes } from "../router.ts";
import { streamType, wireBytes } from "../streams/hijack.ts";

const waitConditions: Record<string, WaitCondition> = {
  "": "not-running",
  "not-running": "not-running",
  "next-exit": "next-exit",
  removed: "removed",
};

const idOf = (request: ApiRequest): string => request.params.id ?? "";

function stopOptions(query: URLSearchParams): { signal?: string; timeoutSeconds?: number } {
  const signal = query.get("signal");
  const timeoutSeconds = number(query, "t");
  return {
    ...(signal !== null && signal !== "" && { signal }),
    ...(timeoutSeconds !== undefined && { timeoutSeconds }),
  };
}

/** Everything under /containers that is not exec. */
export function containerRoutes({ containers }: { readonly containers: Containers }): Routes {
  return {
    "GET /containers/json": async ({ query }) => {
      const limit = number(query, "limit");
      return ok(
        await containers.list({
          all: flag(query, "all"),
          size: flag(query, "size"),
          filters: filters(query),
          ...(limit !== undefined && limit > 0 && { limit }),
        }),
      );
    },
    "POST /containers/create": async (request) => {
      const body = parseCreateRequest(await request.json());
      return created(await containers.create(request.query.get("name") ?? undefined, body));
    },
    "POST /containers/prune": async ({ query }) => ok(await containers.prune(filters(query))),
    "GET /containers/{id}/json": async (request) =>
      ok(await containers.inspect(idOf(request), { size: flag(request.query, "size") })),
    "GET /containers/{id}/top": async (request) =>
      ok(await containers.top(idOf(request), request.query.get("ps_args") ?? "")),
    "GET /containers/{id}/logs": (request) => logs(containers, request),
    "POST /containers/{id}/start": async (request) => {
      await containers.start(idOf(request));
      return noContent;
    },
    "POST /containers/{id}/stop": async (request) => {
      await containers.stop(idOf(request), stopOptions(request.query));
      return noContent;
    },
    "POST /containers/{id}/restart": async (request) => {
      await containers.restart(idOf(request), stopOptions(request.query));
      return noContent;
    },
    "POST /containers/{id}/kill": async (request) => {
      await containers.kill(idOf(request), request.query.get("signal") ?? undefined);
      return noContent;
    },
    "POST /containers/{id}/pause": async (request) => {
      await containers.pause(idOf(request));
      return noContent;
    },
    "POST /containers/{id}/unpause": async (request) => {
      await containers.unpause(idOf(request));
      return noContent;
    },
    "POST /containers/{id}/rename": async (request) => {
      await containers.rename(idOf(request), request.query.get("name") ?? "");
      return noContent;
    },
    "POST /containers/{id}/resize": async (request) => {
      await containers.resize(idOf(request), number(request.query, "w") ?? 0, number(request.query, "h") ?? 0);
      return { kind: "empty", status: 200 };
    },
    "POST /containers/{id}/wait": (request) => wait(containers, request),
    "POST /containers/{id}/attach": (request) => attach(containers, request),
    "DELETE /containers/{id}": async (request) => {
      const { query } = request;
      if (flag(query, "link")) throw new EngineError("unsupported", "link", "links are not supported");
      await containers.remove(idOf(request), { force: flag(query, "force"), removeVolumes: flag(query, "v") });
      return noContent;
    },
  };
}

async function wait(containers: Containers, request: ApiRequest): Promise<Reply> {
  const text = request.query.get("condition") ?? "";
  const condition = waitConditions[text];
  if (condition === undefined)
    throw new EngineError("invalid", "condition", `invalid condition: ${JSON.stringify(text)}`);
  // An unknown container must be a 404, so it is looked for before the headers go out.
  await containers.inspect(idOf(request));
  return { kind: "later", body: containers.wait(idOf(request), condition, request.signal) };
}

async function attach(containers: Containers, request: ApiRequest): Promise<Reply> {
  const { query } = request;
  const detachKeys = query.get("detachKeys");
  const inspected = await containers.inspect(idOf(request));
  // Opened before the answer: what the client starts next must find it attached.
  const stream = await containers.attach(idOf(request), {
    logs: flag(query, "logs"),
    stream: flag(query, "stream"),
    stdin: flag(query, "stdin"),
    stdout: flag(query, "stdout"),
    stderr: flag(query, "stderr"),
    ...(detachKeys !== null && { detachKeys }),
  });
  return { kind: "hijack", terminal: inspected.Config.Tty ?? false, open: async () => stream };
}

async function logs(containers: Containers, request: ApiRequest): Promise<Reply> {
  const { query } = request;
  const tail = query.get("tail") ?? "all";
  const sinceNs = timeNs(query, "since");
  const untilNs = timeNs(query, "until");
  const { terminal, chunks } = await containers.logs(
    idOf(request),
    {
      follow: flag(query, "follow"),
      stdout: flag(query, "stdout"),
      stderr: flag(query, "stderr"),
      timestamps: flag(query, "timestamps"),
      // What is not a number means all, as in Docker.
      ...(/^\d+$/.test(tail) && { tail: Number(tail) }),
      ...(sinceNs !== undefined && { sinceNs }),
      ...(untilNs !== undefined && { untilNs }),
    },
    request.signal,
  );
  return { kind: "stream", contentType: streamType(terminal, request.version), chunks: framed(chunks, terminal) };
}

async function* framed(chunks: AsyncIterable<StreamChunk>, terminal: boolean): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield wireBytes(chunk, terminal);
}
