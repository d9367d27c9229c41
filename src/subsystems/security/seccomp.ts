/**
 * seccomp profiles: our default and Docker's JSON format, resolved for one set of capabilities to what the OCI runtime
 * takes. @see OCI runtime-spec config-linux.md, Seccomp; seccomp(2)
 */
import { release } from "node:os";
import { EngineError } from "#base/errors.ts";
import type { RuntimeSeccomp } from "#spec/oci/runtime.ts";
import { defaultRules } from "./seccomp-rules.ts";

export type SeccompOperator = "NE" | "LT" | "LE" | "EQ" | "GE" | "GT" | "MASKED_EQ";

export interface SeccompCondition {
  readonly capabilities?: readonly string[];
  /** Go's names: `amd64`, `arm64`. */
  readonly architectures?: readonly string[];
  /** `major.minor`. */
  readonly kernelMin?: string;
}

/** One line of the default profile: allows, or with `errno` refuses, the named calls. */
export interface SeccompRule {
  /** Separated by blanks. */
  readonly names: string;
  readonly errno?: number;
  readonly args?: readonly { readonly index: number; readonly op: SeccompOperator; readonly value: number }[];
  readonly when?: SeccompCondition;
  readonly unless?: SeccompCondition;
}

/** Where a profile is applied. */
export interface SeccompHost {
  readonly architecture: string;
  /** `[6, 1]` */
  readonly kernel: readonly [number, number];
}

type RuntimeRule = NonNullable<RuntimeSeccomp["syscalls"]>[number];

const architectures: Record<string, readonly string[]> = {
  amd64: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
  arm64: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
  s390x: ["SCMP_ARCH_S390X", "SCMP_ARCH_S390"],
  riscv64: ["SCMP_ARCH_RISCV64"],
  ppc64le: ["SCMP_ARCH_PPC64LE"],
  loong64: ["SCMP_ARCH_LOONGARCH64"],
};

const goNames: Partial<Record<string, string>> = { x64: "amd64", ia32: "x86", ppc64: "ppc64le", loong64: "loong64" };

export function thisHost(): SeccompHost {
  const [major = "0", minor = "0"] = release().split(/[.-]/);
  return { architecture: goNames[process.arch] ?? process.arch, kernel: [Number(major), Number(minor)] };
}

function kernelReaches(kernel: readonly [number, number], wanted: string): boolean {
  const [major = 0, minor = 0] = wanted.split(".").map(Number);
  return kernel[0] > major || (kernel[0] === major && kernel[1] >= minor);
}

/** Included: every part named must hold. All listed capabilities are needed. */
function holds(condition: SeccompCondition, capabilities: ReadonlySet<string>, host: SeccompHost): boolean {
  const { capabilities: caps, architectures: arches, kernelMin } = condition;
  if (caps !== undefined && caps.length > 0 && !caps.every((name) => capabilities.has(name))) return false;
  if (arches !== undefined && arches.length > 0 && !arches.includes(host.architecture)) return false;
  return kernelMin === undefined || kernelMin === "" || kernelReaches(host.kernel, kernelMin);
}

/** Excluded: one part that holds is enough. */
function touches(condition: SeccompCondition, capabilities: ReadonlySet<string>, host: SeccompHost): boolean {
  const { capabilities: caps = [], architectures: arches = [], kernelMin } = condition;
  if (caps.some((name) => capabilities.has(name)) || arches.includes(host.architecture)) return true;
  return kernelMin !== undefined && kernelMin !== "" && kernelReaches(host.kernel, kernelMin);
}

const cache = new Map<string, RuntimeSeccomp>();

/** The default profile for these capabilities. The value is shared between callers: do not change it. */
export function defaultSeccomp(capabilities: readonly string[], host: SeccompHost = thisHost()): RuntimeSeccomp {
  const key = `${host.architecture} ${host.kernel} ${capabilities}`;
  const known = cache.get(key);
  if (known !== undefined) return known;
  const has = new Set(capabilities);
  const plain = new Set<string>();
  const others: RuntimeRule[] = [];
  for (const rule of defaultRules) {
    if (rule.when !== undefined && !holds(rule.when, has, host)) continue;
    if (rule.unless !== undefined && touches(rule.unless, has, host)) continue;
    const names = rule.names.trim().split(" ");
    if (rule.errno === undefined && rule.args === undefined) {
      for (const name of names) plain.add(name);
      continue;
    }
    others.push({
      names,
      action: rule.errno === undefined ? "SCMP_ACT_ALLOW" : "SCMP_ACT_ERRNO",
      ...(rule.errno !== undefined && { errnoRet: rule.errno }),
      ...(rule.args !== undefined && { args: rule.args.map(runtimeArgument) }),
    });
  }
  const resolved: RuntimeSeccomp = {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 1,
    architectures: [...(architectures[host.architecture] ?? [])],
    syscalls: [{ names: [...plain], action: "SCMP_ACT_ALLOW" }, ...others],
  };
  if (cache.size >= 64) cache.clear();
  cache.set(key, resolved);
  return resolved;
}

function runtimeArgument(argument: { index: number; op: SeccompOperator; value: number }) {
  const { index, op, value } = argument;
  // MASKED_EQ compares `argument & value` with valueTwo, which is 0 in the profile: no namespace flag is set.
  return { index, value, op: `SCMP_CMP_${op}`, ...(op === "MASKED_EQ" && { valueTwo: 0 }) };
}

const actions = /^SCMP_ACT_(ALLOW|ERRNO|KILL|KILL_PROCESS|KILL_THREAD|TRAP|TRACE|LOG)$/;
const operators = /^SCMP_CMP_(NE|LT|LE|EQ|GE|GT|MASKED_EQ)$/;

function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new EngineError("invalid", what, `Decoding seccomp profile failed: ${what} is not an object`);
}

function list(value: unknown, what: string): unknown[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value;
  throw new EngineError("invalid", what, `Decoding seccomp profile failed: ${what} is not a list`);
}

function texts(value: unknown, what: string): string[] {
  return list(value, what).map((entry) => {
    if (typeof entry === "string") return entry;
    throw new EngineError("invalid", what, `Decoding seccomp profile failed: ${what} holds something that is no text`);
  });
}

function natural(value: unknown, what: string): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
  throw new EngineError("invalid", what, `Decoding seccomp profile failed: ${what} is not a whole number`);
}

function action(value: unknown, what: string): string {
  if (typeof value === "string" && actions.test(value)) return value;
  throw new EngineError("invalid", what, `Decoding seccomp profile failed: unknown action ${JSON.stringify(value)}`);
}

function condition(value: unknown, what: string): SeccompCondition {
  if (value === undefined || value === null) return {};
  const { caps, arches, minKernel } = record(value, what);
  return {
    capabilities: texts(caps, `${what}.caps`),
    architectures: texts(arches, `${what}.arches`),
    ...(typeof minKernel === "string" && { kernelMin: minKernel }),
  };
}

/**
 * A profile in Docker's JSON format (as `--security-opt seccomp=FILE` sends its content) for these capabilities.
 * @throws EngineError `invalid` "Decoding seccomp profile failed: …"
 */
export function parseSeccomp(text: string, capabilities: readonly string[], host = thisHost()): RuntimeSeccomp {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new EngineError("invalid", "seccomp", `Decoding seccomp profile failed: ${String(cause)}`, { cause });
  }
  const profile = record(json, "profile");
  const has = new Set(capabilities);
  const syscalls: RuntimeRule[] = [];
  for (const [position, entry] of list(profile.syscalls, "syscalls").entries()) {
    const what = `syscalls[${position}]`;
    const rule = record(entry, what);
    if (!holds(condition(rule.includes, `${what}.includes`), has, host)) continue;
    if (touches(condition(rule.excludes, `${what}.excludes`), has, host)) continue;
    const names = texts(rule.names, `${what}.names`);
    if (typeof rule.name === "string" && rule.name !== "") names.push(rule.name);
    if (names.length === 0) continue;
    const args = list(rule.args, `${what}.args`).map((argument) => parseArgument(argument, `${what}.args`));
    syscalls.push({
      names,
      action: action(rule.action, what),
      ...(rule.errnoRet !== undefined && { errnoRet: natural(rule.errnoRet, `${what}.errnoRet`) }),
      ...(args.length > 0 && { args }),
    });
  }
  const flags = texts(profile.flags, "flags");
  return {
    defaultAction: action(profile.defaultAction, "defaultAction"),
    ...(profile.defaultErrnoRet !== undefined && {
      defaultErrnoRet: natural(profile.defaultErrnoRet, "defaultErrnoRet"),
    }),
    architectures: parseArchitectures(profile, host),
    ...(flags.length > 0 && { flags }),
    syscalls,
  };
}

function parseArgument(value: unknown, what: string) {
  const argument = record(value, what);
  const op = argument.op;
  if (typeof op !== "string" || !operators.test(op)) {
    throw new EngineError("invalid", what, `Decoding seccomp profile failed: unknown operator ${JSON.stringify(op)}`);
  }
  return {
    index: natural(argument.index, `${what}.index`),
    value: natural(argument.value, `${what}.value`),
    ...(argument.valueTwo !== undefined && { valueTwo: natural(argument.valueTwo, `${what}.valueTwo`) }),
    op,
  };
}

function parseArchitectures(profile: Record<string, unknown>, host: SeccompHost): string[] {
  const plain = texts(profile.architectures, "architectures");
  const map = list(profile.archMap, "archMap").map((entry) => record(entry, "archMap"));
  if (plain.length > 0 && map.length > 0) {
    throw new EngineError(
      "invalid",
      "seccomp",
      "both 'architectures' and 'archMap' are specified in the seccomp profile",
    );
  }
  if (map.length === 0) return plain;
  const native = architectures[host.architecture]?.[0];
  for (const entry of map) {
    if (entry.architecture === native && native !== undefined) {
      return [native, ...texts(entry.subArchitectures, "archMap.subArchitectures")];
    }
  }
  return [];
}
