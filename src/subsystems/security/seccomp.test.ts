import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import type { RuntimeSeccomp } from "#spec/oci/runtime.ts";
import { defaultCapabilities } from "./capabilities.ts";
import { defaultSeccomp, parseSeccomp } from "./seccomp.ts";

const reference = new URL("../../../../shared/spec/seccomp-default.json", import.meta.url).pathname;
if (!existsSync(reference)) console.warn("skipped: the reference profile is not on this machine");

/** One line per call, action and condition, in no order. */
function facts(profile: RuntimeSeccomp): string[] {
  const lines = (profile.syscalls ?? []).flatMap((rule) => {
    const args = (rule.args ?? []).map(({ index, op, value, valueTwo = 0 }) => [index, op, value, valueTwo].join(" "));
    return rule.names.map((name) => `${name} ${rule.action} ${rule.errnoRet ?? ""} ${args.join(";")}`);
  });
  return [...new Set(lines)].sort();
}

const host = (architecture: string) => ({ architecture, kernel: [6, 1] as const });

test.skipIf(!existsSync(reference)).each([
  [defaultCapabilities, "amd64"],
  [[], "amd64"],
  [["CAP_SYS_ADMIN"], "amd64"],
  [["CAP_SYS_PTRACE", "CAP_SYS_NICE", "CAP_BPF", "CAP_SYSLOG", "CAP_PERFMON"], "arm64"],
  [["CAP_SYS_TIME", "CAP_SYS_MODULE", "CAP_SYS_RAWIO"], "s390x"],
])("the default profile says what the reference says for %j on %s", (capabilities, architecture) => {
  const ours = defaultSeccomp(capabilities, host(architecture));
  const theirs = parseSeccomp(readFileSync(reference, "utf8"), capabilities, host(architecture));
  expect(facts(ours)).toEqual(facts(theirs));
  expect(ours.defaultAction).toBe(theirs.defaultAction);
  expect(ours.defaultErrnoRet).toBe(theirs.defaultErrnoRet ?? -1);
  expect(ours.architectures).toEqual(theirs.architectures ?? []);
});
