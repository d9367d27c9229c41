/** What this host can do, read once: limits that the kernel lacks are warned of and left out. */
import { existsSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { ownCapabilities } from "#subsystems/security/capabilities.ts";

export interface HostFacts {
  readonly cgroupVersion: 1 | 2;
  readonly cpuCount: number;
  /** Kernel lists like `0-1`. */
  readonly onlineCpus: string;
  readonly memoryNodes: string;
  readonly swapLimit: boolean;
  readonly blkioWeight: boolean;
  /** Whether hard limits may be raised and oom_score_adj lowered (CAP_SYS_RESOURCE). */
  readonly mayRaiseLimits: boolean;
  /** Own oom_score_adj, the least that can be given without that capability. */
  readonly oomScoreAdj: number;
  /** A program that reaps orphans for `--init`, null when there is none. */
  readonly initPath: string | null;
}

const initPaths = [
  "/usr/bin/catatonit",
  "/usr/libexec/podman/catatonit",
  "/usr/bin/docker-init",
  "/usr/libexec/docker/docker-init",
  "/usr/bin/tini-static",
  "/usr/bin/tini",
];

let facts: HostFacts | undefined;

export function hostFacts(): HostFacts {
  if (facts !== undefined) return facts;
  const read = (path: string, otherwise: string) => {
    try {
      return readFileSync(path, "utf8").trim();
    } catch {
      return otherwise;
    }
  };
  const cgroupVersion = existsSync("/sys/fs/cgroup/cgroup.controllers") ? 2 : 1;
  facts = {
    cgroupVersion,
    cpuCount: cpus().length,
    onlineCpus: read("/sys/devices/system/cpu/online", "0"),
    memoryNodes: read("/sys/devices/system/node/online", "0"),
    swapLimit:
      cgroupVersion === 2 ? existsSync("/proc/swaps") : existsSync("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes"),
    blkioWeight:
      cgroupVersion === 2 ||
      existsSync("/sys/fs/cgroup/blkio/blkio.weight") ||
      existsSync("/sys/fs/cgroup/blkio/blkio.bfq.weight"),
    mayRaiseLimits: ownCapabilities().has("CAP_SYS_RESOURCE"),
    oomScoreAdj: Number(read("/proc/self/oom_score_adj", "0")),
    initPath: initPaths.find((path) => existsSync(path)) ?? null,
  };
  return facts;
}
