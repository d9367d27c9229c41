/** One entry of HostConfig.Binds: `source:target[:mode]`. Pure. */
import { posix } from "node:path";
import { EngineError } from "#base/errors.ts";

export interface BindSpec {
  readonly type: "bind" | "volume";
  /** A clean absolute path, or a volume's name. */
  readonly source: string;
  readonly target: string;
  /** As written. */
  readonly mode: string;
  readonly readOnly: boolean;
  readonly noCopy: boolean;
  /** `""` where the mode names none. */
  readonly propagation: string;
}

const propagations = new Set(["private", "rprivate", "shared", "rshared", "slave", "rslave"]);
const consistencies = new Set(["consistent", "cached", "delegated", "default"]);

/** `/a//b/../c/` becomes `/a/c`. */
export function cleanPath(path: string): string {
  const clean = posix.normalize(path);
  return clean.length > 1 && clean.endsWith("/") ? clean.slice(0, -1) : clean;
}

/** Reads a mode like `ro,rslave`. Each group of words may occur once. @throws EngineError `invalid` "invalid mode: X" */
export function parseMountMode(
  mode: string,
  type: "bind" | "volume",
): Pick<BindSpec, "readOnly" | "noCopy" | "propagation"> {
  const bad = () => new EngineError("invalid", mode, `invalid mode: ${mode}`);
  const seen = new Set<string>();
  let readOnly = false;
  let noCopy = false;
  let propagation = "";
  for (const word of mode === "" ? [] : mode.split(",")) {
    let group: string;
    if (word === "ro" || word === "rw") {
      group = "access";
      readOnly = word === "ro";
    } else if (word === "z" || word === "Z") group = "label";
    else if (word === "nocopy") {
      if (type === "bind") throw bad();
      group = "copy";
      noCopy = true;
    } else if (propagations.has(word)) {
      if (type === "volume") throw bad();
      group = "propagation";
      propagation = word;
    } else if (consistencies.has(word)) group = "consistency";
    else throw bad();
    if (seen.has(group)) throw bad();
    seen.add(group);
  }
  return { readOnly, noCopy, propagation };
}

/** @throws EngineError `invalid` "invalid volume specification: 'X'" and others in Docker's words */
export function parseBind(text: string): BindSpec {
  const parts = text.split(":");
  const [source = "", target = "", mode = ""] = parts;
  const wrong = (why = "") => new EngineError("invalid", text, `invalid volume specification: '${text}'${why}`);
  if (parts.length < 2 || parts.length > 3 || source === "" || target === "" || (parts.length === 3 && mode === "")) {
    throw wrong();
  }
  const type = source.startsWith("/") ? "bind" : "volume";
  if (!target.startsWith("/")) {
    throw wrong(
      `: invalid mount config for type "${type}": invalid mount path: '${target}' mount path must be absolute`,
    );
  }
  const clean = cleanPath(target);
  if (clean === "/") throw wrong(": invalid specification: destination can't be '/'");
  return {
    type,
    source: type === "bind" ? cleanPath(source) : source,
    target: clean,
    mode,
    ...parseMountMode(mode, type),
  };
}
