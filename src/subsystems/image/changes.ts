import { posix } from "node:path";
import { EngineError } from "#base/errors.ts";
import { parseDurationNs } from "#spec/engine-api/units.ts";
import type { HealthConfig, ImageRunConfig } from "#spec/oci/image.ts";

type Mutable = { -readonly [K in keyof ImageRunConfig]: ImageRunConfig[K] };

/**
 * Applies `--change` instructions (CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR) to a
 * run configuration. @throws EngineError `invalid` naming the instruction
 */
export function applyChanges(base: ImageRunConfig, changes: readonly string[]): ImageRunConfig {
  const config: Mutable = { ...base };
  for (const change of changes) {
    const match = /^\s*([A-Za-z]+)\s+([\s\S]*?)\s*$/.exec(change);
    if (match === null) throw new EngineError("invalid", change, `invalid change "${change}"`);
    const [, word = "", rest = ""] = match;
    const instruction = instructions[word.toUpperCase()];
    if (instruction === undefined)
      throw new EngineError("invalid", change, `${word.toUpperCase()} is not a valid change command`);
    instruction(config, rest);
  }
  return config;
}

const instructions: Record<string, (config: Mutable, rest: string) => void> = {
  CMD: (config, rest) => {
    config.Cmd = command(rest);
  },
  ENTRYPOINT: (config, rest) => {
    config.Entrypoint = command(rest);
  },
  ENV: (config, rest) => {
    const added = pairs(rest);
    const names = new Set(added.map(([key]) => key));
    const kept = (config.Env ?? []).filter((assignment) => !names.has(assignment.split("=", 1)[0] ?? ""));
    config.Env = [...kept, ...added.map(([key, value]) => `${key}=${value}`)];
  },
  EXPOSE: (config, rest) => {
    const ports = rest.split(/\s+/).flatMap(exposed);
    config.ExposedPorts = { ...config.ExposedPorts, ...Object.fromEntries(ports.map((port) => [port, {}])) };
  },
  HEALTHCHECK: (config, rest) => {
    config.Healthcheck = healthcheck(rest);
  },
  LABEL: (config, rest) => {
    config.Labels = { ...config.Labels, ...Object.fromEntries(pairs(rest)) };
  },
  ONBUILD: (config, rest) => {
    config.OnBuild = [...(config.OnBuild ?? []), rest];
  },
  STOPSIGNAL: (config, rest) => {
    config.StopSignal = rest;
  },
  USER: (config, rest) => {
    config.User = rest;
  },
  VOLUME: (config, rest) => {
    const paths = rest.startsWith("[") ? jsonWords(rest) : rest.split(/\s+/);
    config.Volumes = { ...config.Volumes, ...Object.fromEntries(paths.map((path) => [path, {}])) };
  },
  WORKDIR: (config, rest) => {
    config.WorkingDir = posix.resolve("/", config.WorkingDir ?? "/", rest);
  },
};

function jsonWords(text: string): string[] {
  try {
    const words: unknown = JSON.parse(text);
    if (Array.isArray(words) && words.every((word) => typeof word === "string")) return words;
  } catch {
    // falls through to the error below
  }
  throw new EngineError("invalid", text, `not a list of words: ${text}`);
}

/** Exec form as it is; shell form through the shell, as in a Dockerfile. */
function command(text: string): string[] {
  return text.startsWith("[") ? jsonWords(text) : ["/bin/sh", "-c", text];
}

/** `a=b "c d"=e` and the old form `a b c`. */
function pairs(text: string): [string, string][] {
  if (!/^[^\s=]+=/.test(text)) {
    const blank = text.search(/\s/);
    if (blank < 0) throw new EngineError("invalid", text, `"${text}" must have two arguments`);
    return [[text.slice(0, blank), text.slice(blank).trim()]];
  }
  const found: [string, string][] = [];
  for (const match of text.matchAll(/([^\s=]+)=("(?:[^"\\]|\\.)*"|'[^']*'|(?:[^\s\\]|\\.)*)/g)) {
    const [, key = "", raw = ""] = match;
    found.push([key, raw.replace(/^(["'])([\s\S]*)\1$/, "$2").replace(/\\(.)/g, "$1")]);
  }
  return found;
}

/** `80`, `53/udp`, `8000-8002`: each port with its protocol. @throws EngineError `invalid` */
function exposed(text: string): string[] {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first < 1 || last < first || last > 65_535)
    throw new EngineError("invalid", text, `invalid containerPort: ${text}`);
  const protocol = (match[3] ?? "tcp").toLowerCase();
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
}

const healthDurations = new Map<string, "Interval" | "Timeout" | "StartPeriod" | "StartInterval">([
  ["interval", "Interval"],
  ["timeout", "Timeout"],
  ["start-period", "StartPeriod"],
  ["start-interval", "StartInterval"],
]);

/** `NONE`, or options and `CMD command`. @see Dockerfile reference, HEALTHCHECK */
function healthcheck(text: string): HealthConfig {
  const found: { -readonly [K in keyof HealthConfig]: HealthConfig[K] } = {};
  let rest = text;
  for (let flag = optionOf(rest); flag !== null; flag = optionOf(rest)) {
    rest = rest.slice(flag.length).trimStart();
    const field = healthDurations.get(flag.name);
    if (field !== undefined) found[field] = Number(parseDurationNs(flag.value));
    else if (flag.name === "retries" && /^\d{1,9}$/.test(flag.value)) found.Retries = Number(flag.value);
    else throw new EngineError("invalid", flag.name, `HEALTHCHECK does not take --${flag.name}=${flag.value}`);
  }
  const match = /^(NONE|CMD)(?:\s+([\s\S]+))?$/i.exec(rest);
  const [, type = "", words = ""] = match ?? [];
  if (type.toUpperCase() === "NONE" && words === "") return { Test: ["NONE"] };
  if (type.toUpperCase() !== "CMD" || words === "")
    throw new EngineError("invalid", text, `HEALTHCHECK wants NONE, or CMD and a command, not "${rest}"`);
  const test = words.startsWith("[") ? ["CMD", ...jsonWords(words)] : ["CMD-SHELL", words];
  return { ...found, Test: test };
}

function optionOf(text: string): { name: string; value: string; length: number } | null {
  const match = /^--([a-z-]+)=(\S+)/.exec(text);
  return match === null ? null : { name: match[1] ?? "", value: match[2] ?? "", length: match[0].length };
}
