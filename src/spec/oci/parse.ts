/** Image documents at the border: bytes in, typed values out. Unknown fields are passed over; the bytes stay as they came. */
import { EngineError } from "#base/errors.ts";
import { isDigest, parseDiffId } from "./digest.ts";
import type { Descriptor, HistoryEntry, ImageConfig, ImageRunConfig, Index, Manifest, Platform } from "./image.ts";

type Json = Readonly<Record<string, unknown>>;

/** Registries take no larger manifest, index or config. */
export const documentBytesMax = 4 << 20;

function fail(what: string, why: string): EngineError {
  return new EngineError("invalid", what, `invalid ${what}: ${why}`);
}

function parseJson(bytes: Uint8Array, what: string): unknown {
  if (bytes.byteLength > documentBytesMax)
    throw fail(what, `it has ${bytes.byteLength} bytes, more than ${documentBytesMax}`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw fail(what, error instanceof Error ? error.message : "not JSON");
  }
  return value;
}

function parseDocument(bytes: Uint8Array, what: string): Json {
  return asObject(parseJson(bytes, what), what, "document");
}

function asObject(value: unknown, what: string, field: string): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw fail(what, `${field} is not an object`);
}

function asArray(value: unknown, what: string, field: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw fail(what, `${field} is not an array`);
}

function optionalText(value: unknown, what: string, field: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") return value;
  throw fail(what, `${field} is not a string`);
}

function descriptor(value: unknown, what: string, field: string): Descriptor {
  const object = asObject(value, what, field);
  const { digest, size } = object;
  if (typeof digest !== "string" || !isDigest(digest)) throw fail(what, `${field}.digest is no sha256 digest`);
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) throw fail(what, `${field}.size is no size`);
  const annotations = object.annotations;
  const platform = object.platform;
  return {
    mediaType: optionalText(object.mediaType, what, `${field}.mediaType`) ?? "",
    digest,
    size,
    ...(annotations !== undefined &&
      annotations !== null && { annotations: textMap(annotations, what, `${field}.annotations`) }),
    ...(platform !== undefined && platform !== null && { platform: parsePlatform(platform, what) }),
  };
}

function textMap(value: unknown, what: string, field: string): Record<string, string> {
  const entries = Object.entries(asObject(value, what, field));
  for (const [key, text] of entries) if (typeof text !== "string") throw fail(what, `${field}.${key} is not a string`);
  return Object.fromEntries(entries) as Record<string, string>;
}

function parsePlatform(value: unknown, what: string): Platform {
  const object = asObject(value, what, "platform");
  const variant = optionalText(object.variant, what, "platform.variant");
  return {
    architecture: optionalText(object.architecture, what, "platform.architecture") ?? "",
    os: optionalText(object.os, what, "platform.os") ?? "",
    ...(variant !== undefined && { variant }),
  };
}

/** @see OCI image-spec manifest.md; Docker schema 2. @throws EngineError `invalid` */
export function parseManifest(bytes: Uint8Array): Manifest {
  const what = "manifest";
  const json = parseDocument(bytes, what);
  if (json.schemaVersion !== 2) throw fail(what, "schemaVersion is not 2");
  const mediaType = optionalText(json.mediaType, what, "mediaType");
  return {
    schemaVersion: 2,
    ...(mediaType !== undefined && { mediaType }),
    config: descriptor(json.config, what, "config"),
    layers: asArray(json.layers, what, "layers").map((layer, index) => descriptor(layer, what, `layers[${index}]`)),
  };
}

/** @see OCI image-spec image-index.md. @throws EngineError `invalid` */
export function parseIndex(bytes: Uint8Array): Index {
  const what = "index";
  const json = parseDocument(bytes, what);
  if (json.schemaVersion !== 2) throw fail(what, "schemaVersion is not 2");
  const mediaType = optionalText(json.mediaType, what, "mediaType");
  return {
    schemaVersion: 2,
    ...(mediaType !== undefined && { mediaType }),
    manifests: asArray(json.manifests, what, "manifests").map((entry, index) =>
      descriptor(entry, what, `manifests[${index}]`),
    ),
  };
}

function textArray(value: unknown, what: string, field: string): string[] | undefined {
  if (value === undefined || value === null) return undefined;
  return asArray(value, what, field).map((text) => {
    if (typeof text !== "string") throw fail(what, `${field} holds something that is not a string`);
    return text;
  });
}

/** A time in RFC 3339, as text. */
function optionalTime(value: unknown, what: string, field: string): string | undefined {
  const time = optionalText(value, what, field);
  if (time !== undefined && (!/^\d{4}-\d{2}-\d{2}T/.test(time) || Number.isNaN(Date.parse(time))))
    throw fail(what, `${field} is no RFC 3339 time`);
  return time;
}

function optionalNumber(value: unknown, what: string, field: string): void {
  if (value !== undefined && value !== null && typeof value !== "number") throw fail(what, `${field} is not a number`);
}

function checkHealth(value: unknown, what: string): void {
  const health = asObject(value, what, "config.Healthcheck");
  textArray(health.Test, what, "config.Healthcheck.Test");
  for (const field of ["Interval", "Timeout", "Retries", "StartPeriod", "StartInterval"])
    optionalNumber(health[field], what, `config.Healthcheck.${field}`);
}

function historyEntry(value: unknown, what: string, index: number): HistoryEntry {
  const field = `history[${index}]`;
  const object = asObject(value, what, field);
  const created = optionalTime(object.created, what, `${field}.created`);
  const texts = ["created_by", "author", "comment"].flatMap((key) => {
    const text = optionalText(object[key], what, `${field}.${key}`);
    return text === undefined ? [] : [[key, text]];
  });
  return {
    ...Object.fromEntries(texts),
    ...(created !== undefined && { created }),
    ...(object.empty_layer === true && { empty_layer: true }),
  };
}

/** Checks the fields that decide what is run; the rest is Docker's own and passed on. */
function runConfig(value: unknown): ImageRunConfig | undefined {
  const what = "image config";
  if (value === undefined || value === null) return undefined;
  const object = asObject(value, what, "config");
  for (const field of ["Env", "Entrypoint", "Cmd", "Shell", "OnBuild"])
    textArray(object[field], what, `config.${field}`);
  for (const field of ["User", "WorkingDir", "StopSignal"]) optionalText(object[field], what, `config.${field}`);
  for (const field of ["ExposedPorts", "Volumes"])
    if (object[field] != null) asObject(object[field], what, `config.${field}`);
  if (object.Labels != null) textMap(object.Labels, what, "config.Labels");
  if (object.Healthcheck != null) checkHealth(object.Healthcheck, what);
  return Object.fromEntries(Object.entries(object).filter(([, field]) => field !== null)) as ImageRunConfig;
}

/** @see OCI image-spec config.md. @throws EngineError `invalid` */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  const what = "image config";
  const json = parseDocument(bytes, what);
  const rootfs = asObject(json.rootfs, what, "rootfs");
  const diffIds = asArray(rootfs.diff_ids ?? [], what, "rootfs.diff_ids").map((id) => {
    if (typeof id !== "string") throw fail(what, "rootfs.diff_ids holds something that is not a string");
    return parseDiffId(id);
  });
  const created = optionalTime(json.created, what, "created");
  const author = optionalText(json.author, what, "author");
  const config = runConfig(json.config);
  const history =
    json.history == null
      ? undefined
      : asArray(json.history, what, "history").map((entry, index) => historyEntry(entry, what, index));
  return {
    ...parsePlatform(json, what),
    rootfs: { type: "layers", diff_ids: diffIds },
    ...(created !== undefined && { created }),
    ...(author !== undefined && { author }),
    ...(config !== undefined && { config }),
    ...(history !== undefined && { history }),
  };
}

/** What Docker's archives list in manifest.json: file names inside the archive. */
export interface DockerArchiveEntry {
  readonly config: string;
  readonly tags: readonly string[];
  readonly layers: readonly string[];
}

/** `manifest.json` of a docker-archive. @throws EngineError `invalid` */
export function parseDockerArchive(bytes: Uint8Array): DockerArchiveEntry[] {
  const what = "manifest.json";
  return asArray(parseJson(bytes, what), what, "document").map((value, index) => {
    const entry = asObject(value, what, `[${index}]`);
    const config = optionalText(entry.Config, what, `[${index}].Config`);
    if (config === undefined) throw fail(what, `[${index}].Config is missing`);
    return {
      config,
      tags: textArray(entry.RepoTags, what, `[${index}].RepoTags`) ?? [],
      layers: textArray(entry.Layers, what, `[${index}].Layers`) ?? [],
    };
  });
}

/** This machine's platform in OCI's words. */
export function hostPlatform(): { os: "linux"; architecture: string } {
  const architectures: Record<string, string> = {
    x64: "amd64",
    arm64: "arm64",
    arm: "arm",
    ia32: "386",
    ppc64: "ppc64le",
    s390x: "s390x",
    riscv64: "riscv64",
  };
  return { os: "linux", architecture: architectures[process.arch] ?? process.arch };
}
