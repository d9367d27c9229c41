import { EngineError } from "#base/errors.ts";
import type { ContainerSummary } from "#spec/engine-api/container.ts";
import type { Filters } from "#spec/engine-api/event.ts";
import type { ListOptions } from "./container.ts";
import type { Container, ContainerRegistry } from "./registry.ts";
import type { Rooms } from "./rooms.ts";
import { isLive, lastExit } from "./state.ts";
import { summarize } from "./summary.ts";

type Predicate = (container: Container) => boolean;
interface FilterContext {
  readonly registry: ContainerRegistry;
  /** Ids of images that a reference names. */
  readonly imageId: (reference: string) => string | null;
}

const statuses = ["created", "restarting", "running", "removing", "paused", "exited", "dead"];

/** Docker's keys of `ps --filter`: each builds a test from one value. */
const filterKeys: Record<string, (value: string, context: FilterContext) => Predicate> = {
  id: (value) => (container) => container.id.startsWith(value),
  name: (value) => {
    const pattern = safePattern(value);
    return (container) => pattern.test(container.name) || pattern.test(`/${container.name}`);
  },
  label: (value) => (container) => hasLabel(container, value),
  "label!": (value) => (container) => !hasLabel(container, value),
  status: (value) => {
    if (!statuses.includes(value)) throw invalidFilter("status", value, "invalid value for state");
    return (container) => container.state.status === value;
  },
  exited: (value) => {
    if (!/^-?\d+$/.test(value)) throw invalidFilter("exited", value, "invalid syntax");
    return (container) => container.state.status === "exited" && lastExit(container.state)?.code === Number(value);
  },
  ancestor: (value, { imageId }) => {
    const id = imageId(value);
    return (container) => {
      const { definition } = container.record;
      return (
        definition.imageId === id ||
        definition.imageId.slice("sha256:".length).startsWith(value) ||
        definition.config.Image === value
      );
    };
  },
  before: (value, { registry }) => {
    const limit = registry.find(value).record.definition.createdAt;
    return (container) => container.record.definition.createdAt < limit;
  },
  since: (value, { registry }) => {
    const limit = registry.find(value).record.definition.createdAt;
    return (container) => container.record.definition.createdAt > limit;
  },
  volume: (value) => (container) =>
    container.record.mounts.some(
      (mount) => mount.Name === value || mount.Source === value || mount.Destination === value,
    ),
  network: (value) => (container) => {
    const { sandbox, definition } = container.record;
    const networks = Object.entries(sandbox?.endpoints ?? {});
    return (
      networks.some(([name, endpoint]) => name === value || endpoint.NetworkID === value) ||
      definition.hostConfig.NetworkMode === value
    );
  },
  publish: (value) =>
    portPredicate(value, (container) =>
      Object.entries(container.record.sandbox?.ports ?? {})
        .filter(([, bindings]) => bindings !== null)
        .map(([port]) => port),
    ),
  expose: (value) =>
    portPredicate(value, (container) => Object.keys(container.record.definition.config.ExposedPorts ?? {})),
  health: (value) => () => value === "none",
  "is-task": (value) => () => value === "false" || value === "0",
  isolation: () => () => true,
};

function invalidFilter(key: string, value: string, why: string): EngineError {
  return new EngineError("invalid", key, `invalid filter '${key}=${value}': ${why}`);
}

function safePattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch {
    throw invalidFilter("name", text, "invalid regular expression");
  }
}

function hasLabel(container: Container, value: string): boolean {
  const labels = container.record.definition.config.Labels ?? {};
  const equals = value.indexOf("=");
  return equals < 0 ? value in labels : labels[value.slice(0, equals)] === value.slice(equals + 1);
}

function portPredicate(value: string, portsOf: (container: Container) => string[]): Predicate {
  const match = /^(\d+)(?:-(\d+))?(?:\/(tcp|udp|sctp))?$/.exec(value);
  if (match === null) throw invalidFilter("port", value, "invalid port");
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  const protocol = match[3] ?? "tcp";
  return (container) =>
    portsOf(container).some((port) => {
      const [number, kind] = port.split("/");
      return kind === protocol && Number(number) >= first && Number(number) <= last;
    });
}

/** One test out of Docker's filters: keys joined by "and"; values of a key by "or", of `label` by "and". @throws EngineError `invalid` */
export function containerPredicate(filters: Filters, context: FilterContext): Predicate {
  const tests = Object.entries(filters).map(([key, values]): Predicate => {
    const build = filterKeys[key];
    if (build === undefined) throw new EngineError("invalid", key, `invalid filter '${key}'`);
    const each = values.map((value) => build(value, context));
    if (key === "label" || key === "label!") return (container) => each.every((test) => test(container));
    return (container) => each.length === 0 || each.some((test) => test(container));
  });
  return (container) => tests.every((test) => test(container));
}

/** Rows of `ps`, newest first. */
export async function listContainers(
  rooms: Pick<Rooms, "registry" | "images" | "networks" | "snapshots">,
  options: ListOptions,
): Promise<ContainerSummary[]> {
  const { registry } = rooms;
  const everything = registry
    .all()
    .sort((a, b) => (a.record.definition.createdAt < b.record.definition.createdAt ? 1 : -1));
  const names = new Set([
    ...everything.map((container) => container.record.definition.config.Image),
    ...(options.filters.ancestor ?? []),
  ]);
  const images = await resolveAll(rooms.images, names);
  const matches = containerPredicate(options.filters, {
    registry,
    imageId: (reference) => images.get(reference) ?? null,
  });
  // A filter on states and a limit both mean that stopped ones are wanted too.
  const all = options.all || options.limit !== undefined || "status" in options.filters || "exited" in options.filters;
  const chosen = everything.filter(
    (container) => (all || isLive(container.state) || container.state.status === "restarting") && matches(container),
  );
  const nowMs = Date.now();
  return Promise.all(
    chosen.slice(0, options.limit ?? chosen.length).map(async (container) => {
      const { imageId, config } = container.record.definition;
      const image = images.get(config.Image) === imageId ? config.Image : imageId;
      const row = summarize(rooms, container, image, nowMs);
      return options.size ? { ...row, ...(await sizes(rooms, container)) } : row;
    }),
  );
}

/** Bytes a container wrote, and those together with its image. */
export async function sizes(
  rooms: Pick<Rooms, "snapshots" | "images">,
  container: Container,
): Promise<{ SizeRw: number; SizeRootFs: number }> {
  const SizeRw = await rooms.snapshots.usage(container.id);
  const image = await rooms.images.inspect(container.record.definition.imageId).catch(() => null);
  return { SizeRw, SizeRootFs: SizeRw + (image?.Size ?? 0) };
}

async function resolveAll(images: Rooms["images"], references: ReadonlySet<string>): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const reference of references) {
    const image = await images.resolve(reference).catch(() => null);
    if (image !== null) found.set(reference, image.id);
  }
  return found;
}
