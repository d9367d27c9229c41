/** Names and driver options of local volumes, in Docker's rules and words. Pure. */
import { EngineError } from "#base/errors.ts";
import { mountFlag } from "#linux/mount/mount.ts";

const nameRule = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
/** Longer names are no file names. */
const nameBytesMax = 255;

/** @throws EngineError `invalid` in Docker's words */
export function checkVolumeName(name: string): void {
  if (nameRule.test(name) && name.length <= nameBytesMax) return;
  const what =
    name.length === 1 ? "volume name is too short, names should be at least two alphanumeric characters" : null;
  throw new EngineError(
    "invalid",
    name,
    `create ${name}: ${
      what ??
      `"${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`
    }`,
  );
}

/** Which options the local driver knows, and which others each of them needs. */
const needs: Readonly<Record<string, readonly string[]>> = {
  type: ["device"],
  device: ["type"],
  o: ["device", "type"],
  size: [],
};

/** @throws EngineError `invalid` for unknown options, and for one that lacks another */
export function checkDriverOptions(name: string, options: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(options)) {
    const required = Object.hasOwn(needs, key) ? needs[key] : undefined;
    if (required === undefined) {
      throw new EngineError("invalid", key, `create ${name}: invalid option: ${JSON.stringify(key)}`);
    }
    const missing = value === "" ? undefined : required.find((other) => (options[other] ?? "") === "");
    if (missing !== undefined) {
      throw new EngineError("invalid", key, `create ${name}: missing required option: ${JSON.stringify(missing)}`);
    }
  }
  if ((options.size ?? "") !== "") {
    throw new EngineError("invalid", "size", `create ${name}: quota size requested but no quota support`);
  }
}

const flagNames: Readonly<Record<string, number>> = {
  ro: mountFlag.rdonly,
  nosuid: mountFlag.nosuid,
  nodev: mountFlag.nodev,
  noexec: mountFlag.noexec,
  bind: mountFlag.bind,
  rbind: mountFlag.bind | mountFlag.rec,
};
const passedOver = new Set(["rw", "suid", "dev", "exec", "defaults", ""]);

/** What mount(2) is asked for a volume with driver options. */
export function mountCall(options: Readonly<Record<string, string>>) {
  let flags = 0;
  const data: string[] = [];
  for (const option of (options.o ?? "").split(",")) {
    if (Object.hasOwn(flagNames, option)) flags |= flagNames[option] ?? 0;
    else if (!passedOver.has(option)) data.push(option);
  }
  return { source: options.device ?? "", type: options.type ?? "", flags, data: data.join(",") };
}
