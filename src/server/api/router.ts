import type { Reply } from "./reply.ts";
import type { ApiVersion } from "./versions.ts";

/** A request as routes see it: the path taken apart, the body unread. */
export interface ApiRequest {
  readonly method: string;
  readonly version: ApiVersion;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: AsyncIterable<Uint8Array>;
  /** The JSON body; null when there is none. @throws EngineError `invalid` when it is malformed, of another type or too large */
  json(): Promise<unknown>;
  /** Aborts when the client goes. */
  readonly signal: AbortSignal;
}

export type Handler = (request: ApiRequest) => Promise<Reply> | Reply;

/** Keys are `METHOD /path/{param}`; `{name:path}` also takes slashes. */
export type Routes = Readonly<Record<string, Handler>>;

interface Compiled {
  readonly method: string;
  readonly pattern: RegExp;
  readonly names: readonly string[];
  readonly handler: Handler;
}

/** Finds handlers by method and path. Routes are tried in the order given. */
export class Router {
  readonly #routes: Compiled[];

  constructor(routes: Routes) {
    this.#routes = Object.entries(routes).map(([key, handler]) => compile(key, handler));
  }

  /** @returns null when no route has this path; `allowed` when the path exists for other methods */
  find(method: string, path: string): { handler: Handler; params: Record<string, string> } | null {
    for (const route of this.#routes) {
      if (route.method !== method && !(method === "HEAD" && route.method === "GET")) continue;
      const match = route.pattern.exec(path);
      if (match === null) continue;
      const params = Object.fromEntries(route.names.map((name, index) => [name, decode(match[index + 1] ?? "")]));
      return { handler: route.handler, params };
    }
    return null;
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function compile(key: string, handler: Handler): Compiled {
  const [method = "", path = ""] = key.split(" ");
  const names: string[] = [];
  const source = path.replace(/\{(\w+)(:path)?\}/g, (_, name: string, deep: string | undefined) => {
    names.push(name);
    return deep === undefined ? "([^/]+)" : "(.+?)";
  });
  return { method, pattern: new RegExp(`^${source}$`), names, handler };
}
