import { EngineError, isEngineError } from "#base/errors.ts";
import type { ProgressMessage } from "#spec/engine-api/image.ts";
import { familiarString, parseReference, withDefaultTag } from "#spec/reference/reference.ts";
import type { Images } from "#subsystems/image/image.ts";
import { filters, flag } from "../query.ts";
import { ok, type Reply } from "../reply.ts";
import type { ApiRequest, Routes } from "../router.ts";
import { forVersion } from "../versions.ts";

const nameOf = (request: ApiRequest): string => request.params.name ?? "";

/** Everything under /images. */
export function imageRoutes({ images }: { readonly images: Images }): Routes {
  const save = (names: readonly string[]): Reply => {
    if (names.length === 0) throw new EngineError("invalid", "names", "no images given");
    return { kind: "stream", contentType: "application/x-tar", chunks: images.save(names) };
  };
  return {
    "GET /images/json": async ({ query, version }) => {
      const list = await images.list({
        all: flag(query, "all"),
        filters: filters(query),
        sharedSize: flag(query, "shared-size"),
      });
      return ok(list.map((image) => forVersion("image-summary", version, image)));
    },
    "POST /images/create": (request) => createImage(images, request),
    "POST /images/load": ({ body, query }) => ({
      kind: "messages",
      messages: images.load(body, { quiet: flag(query, "quiet") }),
    }),
    "GET /images/get": ({ query }) => save(query.getAll("names")),
    "POST /images/prune": async ({ query }) => {
      const { deleted, spaceReclaimed } = await images.prune(filters(query));
      return ok({ ImagesDeleted: deleted, SpaceReclaimed: spaceReclaimed });
    },
    "GET /images/{name:path}/get": (request) => save([nameOf(request)]),
    "GET /images/{name:path}/json": async (request) =>
      ok(forVersion("image-inspect", request.version, await images.inspect(nameOf(request)))),
    "GET /images/{name:path}/history": async (request) => ok(await images.history(nameOf(request))),
    "POST /images/{name:path}/tag": async (request) => {
      await images.tag(nameOf(request), request.query.get("repo") ?? "", request.query.get("tag") ?? "");
      return { kind: "empty", status: 201 };
    },
    "DELETE /images/{name:path}": async (request) =>
      ok(
        await images.remove(nameOf(request), {
          force: flag(request.query, "force"),
          noPrune: flag(request.query, "noprune"),
        }),
      ),
  };
}

function createImage(images: Images, request: ApiRequest): Reply {
  const { query } = request;
  const from = query.get("fromImage") ?? "";
  if (from !== "") return { kind: "messages", messages: pull(images, from, query.get("tag") ?? "") };
  const source = query.get("fromSrc") ?? "";
  if (source !== "-")
    throw new EngineError(
      "unsupported",
      source,
      "importing from a URL is not supported: send the archive and fromSrc=-",
    );
  return { kind: "messages", messages: importImage(images, request) };
}

async function* importImage(images: Images, { query, body }: ApiRequest): AsyncGenerator<ProgressMessage> {
  const id = await images.import(body, {
    repository: query.get("repo") ?? "",
    tag: query.get("tag") ?? "",
    message: query.get("message") ?? "",
    changes: query.getAll("changes"),
    platform: query.get("platform") ?? "",
  });
  yield { status: id };
}

/** No registry client yet: what is in the store is up to date, hello-world is built in, the rest cannot be had. */
async function* pull(images: Images, name: string, tag: string): AsyncGenerator<ProgressMessage> {
  const separator = tag.startsWith("sha256:") ? "@" : ":";
  const reference = familiarString(withDefaultTag(parseReference(tag === "" ? name : `${name}${separator}${tag}`)));
  try {
    await images.resolve(reference);
  } catch (error) {
    if (!isEngineError(error, "not-found")) throw error;
    if (reference !== "hello-world:latest") {
      throw new EngineError(
        "not-found",
        reference,
        `cannot pull ${reference}: no registry can be reached by this version; use "load" or "import"`,
      );
    }
    yield { status: "No registry can be reached: using the hello-world image that is built into Skiff" };
    await images.ensureHelloWorld();
    yield { status: `Status: Loaded built-in image for ${reference}` };
    return;
  }
  yield { status: `Status: Image is up to date for ${reference}` };
}
