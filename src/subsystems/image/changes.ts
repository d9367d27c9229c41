import { EngineError } from "#base/errors.ts";
import type { ImageRunConfig } from "#spec/oci/image.ts";

type Mutable = { -readonly [K in keyof ImageRunConfig]: ImageRunConfig[K] };

/**
 * Applies `--change` instructions (CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR) to a
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
    const ports = rest.split(/\s+/).map((port) => (port.includes("/") ? port : `${port}/tcp`));
    config.ExposedPorts = { ...config.ExposedPorts, ...Object.fromEntries(ports.map((port) => [port, {}])) };
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
    config.WorkingDir = rest.startsWith("/") ? rest : `${(config.WorkingDir ?? "/").replace(/\/$/, "")}/${rest}`;
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
