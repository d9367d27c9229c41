import { EngineError } from "#base/errors.ts";
import type { Filters } from "#spec/engine-api/event.ts";
import { parseTimestamp } from "#spec/engine-api/units.ts";
import type { ImageConfig } from "#spec/oci/image.ts";
import type { ImageRow } from "./image-rows.ts";
import type { ImageStore } from "./image-store.ts";

interface Candidate {
  readonly image: ImageRow;
  readonly names: readonly string[];
  readonly config: ImageConfig;
}
type Predicate = (candidate: Candidate) => boolean;

const isTrue = (value: string) => value === "true" || value === "1";

const keys: Record<string, (value: string, store: ImageStore) => Predicate> = {
  dangling: (value) => {
    if (!["true", "false", "1", "0"].includes(value))
      throw new EngineError("invalid", "dangling", `invalid filter 'dangling=[${value}]'`);
    return ({ names }) => (names.length === 0) === isTrue(value);
  },
  label: (value) => {
    const equals = value.indexOf("=");
    const key = equals < 0 ? value : value.slice(0, equals);
    return ({ config }) => {
      const label = config.config?.Labels?.[key];
      return equals < 0 ? label !== undefined : label === value.slice(equals + 1);
    };
  },
  "label!": (value, store) => {
    const has = keys.label?.(value, store);
    return (candidate) => has?.(candidate) === false;
  },
  before: (value, store) => {
    const limit = store.find(value).addedAt;
    return ({ image }) => image.addedAt < limit;
  },
  since: (value, store) => {
    const limit = store.find(value).addedAt;
    return ({ image }) => image.addedAt > limit;
  },
  until: (value) => {
    const limitMs = Number(parseTimestamp(value, new Date()) / 1_000_000n);
    return ({ config }) => Date.parse(config.created ?? "1970-01-01T00:00:00Z") < limitMs;
  },
  reference: (value) => {
    const pattern = new RegExp(
      `^${value
        .replace(/[.+^${}()|\\]/g, "\\$&")
        .replaceAll("*", "[^/]*")
        .replaceAll("?", "[^/]")}$`,
    );
    return ({ names }) =>
      names.some((name) => pattern.test(name) || pattern.test(name.slice(0, name.lastIndexOf(":"))));
  },
};

/** One test out of Docker's filters of `images`. @throws EngineError `invalid` for an unknown key */
export function imagePredicate(filters: Filters, store: ImageStore): Predicate {
  const tests = Object.entries(filters).map(([key, values]): Predicate => {
    const build = keys[key];
    if (build === undefined) throw new EngineError("invalid", key, `invalid filter '${key}'`);
    const each = values.map((value) => build(value, store));
    if (key === "label" || key === "label!") return (candidate) => each.every((test) => test(candidate));
    return (candidate) => each.length === 0 || each.some((test) => test(candidate));
  });
  return (candidate) => tests.every((test) => test(candidate));
}
