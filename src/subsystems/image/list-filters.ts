import { EngineError } from "#base/errors.ts";
import type { Filters } from "#spec/engine-api/event.ts";
import { parseTimestamp } from "#spec/engine-api/units.ts";
import type { ImageConfig } from "#spec/oci/image.ts";
import { parsePattern } from "./glob.ts";
import type { ImageStore } from "./image-store.ts";

type Predicate = (config: ImageConfig, names: readonly string[]) => boolean;

const createdMs = (config: ImageConfig) => Date.parse(config.created ?? "1970-01-01T00:00:00Z");

function truth(value: string): boolean {
  if (["true", "1"].includes(value)) return true;
  if (["false", "0"].includes(value)) return false;
  throw new EngineError("invalid", "dangling", `invalid filter 'dangling=[${value}]'`);
}

function label(value: string): Predicate {
  const equals = value.indexOf("=");
  const key = equals < 0 ? value : value.slice(0, equals);
  return (config) => {
    const labels = config.config?.Labels ?? {};
    return Object.hasOwn(labels, key) && (equals < 0 || labels[key] === value.slice(equals + 1));
  };
}

/** Whether a name fits a pattern for `repository` or for `repository:tag`. */
function referenceTest(values: readonly string[]): (name: string) => boolean {
  const patterns = values.map(parsePattern);
  return (name) => patterns.some((fits) => fits(name) || fits(name.slice(0, name.lastIndexOf(":"))));
}

const keys = new Map<string, (values: readonly string[], store: ImageStore) => Predicate>([
  ["dangling", (values) => (_, names) => values.every((value) => truth(value) === (names.length === 0))],
  ["label", (values) => (config, names) => values.every((value) => label(value)(config, names))],
  ["label!", (values) => (config, names) => !values.some((value) => label(value)(config, names))],
  [
    "before",
    (values, store) => {
      const limits = values.map((value) => createdMs(store.config(store.find(value).id)));
      return (config) => limits.every((limit) => createdMs(config) < limit);
    },
  ],
  [
    "since",
    (values, store) => {
      const limits = values.map((value) => createdMs(store.config(store.find(value).id)));
      return (config) => limits.every((limit) => createdMs(config) > limit);
    },
  ],
  [
    "until",
    (values) => {
      const limits = values.map((value) => Number(parseTimestamp(value, new Date()) / 1_000_000n));
      return (config) => limits.every((limit) => createdMs(config) < limit);
    },
  ],
  [
    "reference",
    (values) => {
      const fits = referenceTest(values);
      return (_, names) => names.some(fits);
    },
  ],
]);

/**
 * Docker's filters of `images`: for an image, the names to show, or null when it is out.
 * @throws EngineError `invalid` for an unknown key or value, `not-found` for an image that a value names
 */
export function imageFilter(
  filters: Filters,
  store: ImageStore,
): (config: ImageConfig, names: readonly string[]) => string[] | null {
  for (const value of filters.dangling ?? []) truth(value);
  const tests = Object.entries(filters).map(([key, values]) => {
    const build = keys.get(key);
    if (build === undefined) throw new EngineError("invalid", key, `invalid filter '${key}'`);
    return values.length === 0 ? () => true : build(values, store);
  });
  const references = filters.reference ?? [];
  const shown = references.length === 0 ? () => true : referenceTest(references);
  return (config, names) => (tests.every((test) => test(config, names)) ? names.filter(shown) : null);
}
