/**
 * The face of the security room: what confines a container's processes — capabilities, seccomp, no_new_privs, masked
 * paths — as the OCI runtime takes it. Users are in user.ts, making directories in a container's tree in rootfs-files.ts.
 */
import { readFileSync } from "node:fs";
import { EngineError } from "#base/errors.ts";
import type { HostConfig } from "#spec/engine-api/container.ts";
import type { RuntimeProcess, RuntimeSeccomp } from "#spec/oci/runtime.ts";
import { ownCapabilities, resolveCapabilities } from "./capabilities.ts";
import { defaultSeccomp, parseSeccomp } from "./seccomp.ts";

/** Hidden from a container that is not privileged. */
export const maskedPathsDefault: readonly string[] = [
  ..."acpi asound interrupts kcore keys latency_stats sched_debug scsi timer_list timer_stats"
    .split(" ")
    .map((name) => `/proc/${name}`),
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
];
/** Shown read-only to a container that is not privileged. */
export const readonlyPathsDefault: readonly string[] = ["bus", "fs", "irq", "sys", "sysrq-trigger"].map(
  (name) => `/proc/${name}`,
);

/** `--security-opt`, parsed. */
export interface SecurityOptions {
  /** A profile's JSON text, `unconfined`, or `default`. */
  readonly seccomp: string;
  readonly apparmor?: string;
  readonly noNewPrivileges: boolean;
  readonly unconfinedPaths: boolean;
}

export interface Confinement {
  readonly capabilities: readonly string[];
  readonly seccomp?: RuntimeSeccomp;
  readonly noNewPrivileges: boolean;
  readonly apparmorProfile?: string;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
}

/**
 * Reads the `SecurityOpt` list; `key:value` is the old spelling of `key=value`. Labels are for SELinux, which is not
 * handled, and are passed over as Docker does where it is off.
 * @throws EngineError `invalid` in Docker's words
 */
export function parseSecurityOptions(options: readonly string[]): SecurityOptions {
  const parsed = { seccomp: "default", noNewPrivileges: false, unconfinedPaths: false, apparmor: "" };
  for (const option of options) {
    if (option === "no-new-privileges") {
      parsed.noNewPrivileges = true;
      continue;
    }
    if (option === "disable") continue;
    const [, key = "", value = ""] = /^([^=:]*)[=:](.*)$/s.exec(option) ?? [];
    if (key === "") throw new EngineError("invalid", option, `invalid --security-opt 1: "${option}"`);
    switch (key) {
      case "label":
        break;
      case "apparmor":
        parsed.apparmor = value;
        break;
      case "seccomp":
        parsed.seccomp = value === "builtin" ? "default" : value;
        break;
      case "no-new-privileges":
        if (!/^(1|0|t|f|true|false)$/i.test(value)) {
          throw new EngineError("invalid", option, `invalid --security-opt 2: "${option}"`);
        }
        parsed.noNewPrivileges = /^(1|t|true)$/i.test(value);
        break;
      case "systempaths":
        if (value !== "unconfined") throw new EngineError("invalid", option, `invalid --security-opt 2: "${option}"`);
        parsed.unconfinedPaths = true;
        break;
      default:
        throw new EngineError("invalid", option, `invalid --security-opt 2: "${option}"`);
    }
  }
  const { apparmor, ...rest } = parsed;
  return { ...rest, ...(apparmor !== "" && { apparmor }) };
}

/**
 * Everything that confines a container with this host configuration.
 * @throws EngineError `invalid` for unknown capabilities and options, a bad profile, AppArmor where the host has none
 */
export function confine(hostConfig: HostConfig): Confinement {
  const privileged = hostConfig.Privileged ?? false;
  const options = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
  const capabilities = resolveCapabilities(
    { add: hostConfig.CapAdd ?? [], drop: hostConfig.CapDrop ?? [], privileged },
    ownCapabilities(),
  );
  const seccomp = seccompFor(options.seccomp, capabilities, privileged);
  const apparmorProfile = apparmorFor(options.apparmor, privileged);
  const open = privileged || options.unconfinedPaths;
  // null is "none" (as `inspect` shows it), undefined is "not said".
  const paths = (asked: string[] | null | undefined, defaults: readonly string[]) =>
    asked === undefined ? (open ? [] : defaults) : (asked ?? []);
  return {
    capabilities,
    ...(seccomp !== undefined && { seccomp }),
    noNewPrivileges: options.noNewPrivileges,
    ...(apparmorProfile !== undefined && { apparmorProfile }),
    maskedPaths: paths(hostConfig.MaskedPaths, maskedPathsDefault),
    readonlyPaths: paths(hostConfig.ReadonlyPaths, readonlyPathsDefault),
  };
}

function seccompFor(asked: string, capabilities: readonly string[], privileged: boolean): RuntimeSeccomp | undefined {
  if (asked === "unconfined") return undefined;
  if (asked !== "default") return parseSeccomp(asked, capabilities);
  return privileged ? undefined : defaultSeccomp(capabilities);
}

function apparmorFor(asked: string | undefined, privileged: boolean): string | undefined {
  if (apparmorEnabled()) return asked ?? (privileged ? "unconfined" : undefined);
  if (asked === undefined || asked === "unconfined") return undefined;
  throw new EngineError("invalid", asked, `AppArmor is not available on this host: cannot apply profile "${asked}"`);
}

let apparmor: boolean | undefined;

/** Whether the kernel enforces AppArmor. */
export function apparmorEnabled(): boolean {
  if (apparmor !== undefined) return apparmor;
  try {
    apparmor = readFileSync("/sys/module/apparmor/parameters/enabled", "utf8").startsWith("Y");
  } catch {
    apparmor = false;
  }
  return apparmor;
}

/**
 * The sets of a process. For a user that is not root only the bounding set, so that it is what execve(2) would give;
 * nothing is inheritable.
 */
export function processCapabilities(
  capabilities: readonly string[],
  uid: number,
): NonNullable<RuntimeProcess["capabilities"]> {
  const own = uid === 0 ? capabilities : [];
  return {
    bounding: [...capabilities],
    effective: [...own],
    permitted: [...own],
    inheritable: [],
    ambient: [],
  };
}
