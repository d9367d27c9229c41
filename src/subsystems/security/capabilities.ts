import { readFileSync } from "node:fs";
import { EngineError } from "#base/errors.ts";

/** In the kernel's order: the index is the bit. @see capabilities(7), linux/capability.h */
const names = [
  ..."CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE".split(" "),
  ..."NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT".split(" "),
  ..."SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE".split(" "),
  ..."AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ".split(" "),
  ..."PERFMON BPF CHECKPOINT_RESTORE".split(" "),
].map((name) => `CAP_${name}`);
const known: ReadonlySet<string> = new Set(names);

/** What a container has without any flag: Docker's fourteen. */
export const defaultCapabilities: readonly string[] = (
  "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE " +
  "SETFCAP"
)
  .split(" ")
  .map((name) => `CAP_${name}`);

export interface CapabilityRequest {
  readonly add: readonly string[];
  readonly drop: readonly string[];
  readonly privileged: boolean;
}

function normalise(list: readonly string[], field: "CapAdd" | "CapDrop"): Set<string> {
  const wanted = new Set<string>();
  for (const text of list) {
    const upper = text.toUpperCase();
    const name = upper === "ALL" || upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
    if (name !== "ALL" && !known.has(name)) {
      throw new EngineError("invalid", text, `invalid ${field}: unknown capability: "${name}"`);
    }
    wanted.add(name);
  }
  return wanted;
}

/**
 * The capabilities a container may have at most, in the kernel's order.
 * `add: ALL` wins over `drop: ALL`; a privileged container has all, whatever else is asked.
 * @param available what this process can give; see `ownCapabilities`
 * @throws EngineError `invalid` for an unknown name
 */
export function resolveCapabilities(request: CapabilityRequest, available: ReadonlySet<string>): string[] {
  const add = normalise(request.add, "CapAdd");
  const drop = normalise(request.drop, "CapDrop");
  const base = new Set(drop.has("ALL") ? [] : defaultCapabilities);
  const has = (name: string) => {
    if (request.privileged) return true;
    if (add.has("ALL")) return !drop.has(name);
    return add.has(name) || (base.has(name) && !drop.has(name));
  };
  return names.filter((name) => has(name) && available.has(name));
}

/** Names of the bits in a mask as /proc/PID/status writes it, 16 hex digits. */
export function capabilityNames(mask: string): string[] {
  const bits = BigInt(`0x${mask.trim()}`);
  return names.filter((_, bit) => ((bits >> BigInt(bit)) & 1n) === 1n);
}

let own: ReadonlySet<string> | undefined;

/** What this process may hand on: bounding and permitted. A host can withhold some even from root. */
export function ownCapabilities(): ReadonlySet<string> {
  if (own !== undefined) return own;
  const status = readFileSync("/proc/self/status", "utf8");
  const mask = (field: string) =>
    capabilityNames(new RegExp(`^${field}:\\s*([0-9a-f]+)$`, "m").exec(status)?.[1] ?? "0");
  const bounding = new Set(mask("CapBnd"));
  own = new Set(mask("CapPrm").filter((name) => bounding.has(name)));
  return own;
}
