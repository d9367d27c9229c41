/** Limits that make no sense are refused; those that this host lacks are warned of. Texts are Docker's. Pure. */
import { EngineError } from "#base/errors.ts";
import type { HostConfig } from "#spec/engine-api/container.ts";
import type { HostFacts } from "./host-facts.ts";
import { ownHardLimits, ulimitNames } from "./resources.ts";

const memoryMinimumBytes = 6 * 1024 * 1024;

function refuse(subject: string, message: string): never {
  throw new EngineError("invalid", subject, message);
}

/** @returns warnings @throws EngineError `invalid` */
export function checkResources(hostConfig: HostConfig, facts: HostFacts): string[] {
  return [
    ...checkMemory(hostConfig, facts),
    ...checkCpu(hostConfig, facts),
    ...checkUlimits(hostConfig, facts),
    ...checkRest(hostConfig, facts),
  ];
}

function checkMemory(hostConfig: HostConfig, facts: HostFacts): string[] {
  const { Memory: memory = 0, MemorySwap: swap = 0, MemoryReservation: reservation = 0 } = hostConfig;
  const swappiness = hostConfig.MemorySwappiness ?? -1;
  const warnings: string[] = [];
  if (memory !== 0 && memory < memoryMinimumBytes) refuse("memory", "Minimum memory limit allowed is 6MB");
  if (memory > 0 && swap > 0 && swap < memory) {
    refuse("memory-swap", "Minimum memoryswap limit should be larger than memory limit, see usage");
  }
  if (memory === 0 && swap > 0) {
    refuse("memory-swap", "You should always set the Memory limit when using Memoryswap limit, see usage");
  }
  if (memory > 0 && swap !== -1 && !facts.swapLimit) {
    warnings.push(
      "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.",
    );
  }
  if (swappiness < -1 || swappiness > 100) {
    refuse("memory-swappiness", `Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
  }
  if (swappiness >= 0 && facts.cgroupVersion === 2) {
    warnings.push(
      "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.",
    );
  }
  if (reservation !== 0 && reservation < memoryMinimumBytes) {
    refuse("memory-reservation", "Minimum memory reservation allowed is 6MB");
  }
  if (memory > 0 && reservation > memory) {
    refuse("memory", "Minimum memory limit can not be less than memory reservation limit, see usage");
  }
  if (hostConfig.OomKillDisable === true) {
    if (facts.cgroupVersion === 2) {
      warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.");
    } else if (memory === 0) {
      warnings.push(
        "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
      );
    }
  }
  return warnings;
}

/** `0-2,4`; null when it is no such list. */
export function parseCpuList(text: string): Set<number> | null {
  const found = new Set<number>();
  for (const part of text.split(",")) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    if (match === null) return null;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first || last > 8191) return null;
    for (let number = first; number <= last; number++) found.add(number);
  }
  return found;
}

function checkCpuList(text: string, available: string, what: string, plural: string): void {
  if (text === "") return;
  const wanted = parseCpuList(text);
  if (wanted === null) refuse(text, `Invalid value ${text} for cpuset ${what}`);
  const have = parseCpuList(available) ?? new Set();
  if (![...wanted].every((number) => have.has(number))) {
    refuse(text, `Requested ${plural} are not available - requested ${text}, available: ${available}`);
  }
}

function checkCpu(hostConfig: HostConfig, facts: HostFacts): string[] {
  const { NanoCpus: nano = 0, CpuPeriod: period = 0, CpuQuota: quota = 0 } = hostConfig;
  if (nano > 0 && period > 0) refuse("cpus", "Conflicting options: Nano CPUs and CPU Period cannot both be set.");
  if (nano > 0 && quota > 0) refuse("cpus", "Conflicting options: Nano CPUs and CPU Quota cannot both be set.");
  const { cpuCount } = facts;
  if (nano < 0 || nano > cpuCount * 1e9 || (nano > 0 && nano < 1e7)) {
    refuse("cpus", `Range of CPUs is from 0.01 to ${cpuCount}.00, as there are only ${cpuCount} CPUs available`);
  }
  if (period !== 0 && (period < 1000 || period > 1_000_000)) {
    refuse("cpu-period", "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
  }
  if (quota > 0 && quota < 1000) refuse("cpu-quota", "CPU cfs quota can not be less than 1ms (i.e. 1000)");
  if ((hostConfig.CpuShares ?? 0) < 0)
    refuse("cpu-shares", `invalid CPU shares (${hostConfig.CpuShares}): value must be a positive integer`);
  checkCpuList(hostConfig.CpusetCpus ?? "", facts.onlineCpus, "cpus", "CPUs");
  checkCpuList(hostConfig.CpusetMems ?? "", facts.memoryNodes, "mems", "memory nodes");
  return [];
}

function checkUlimits(hostConfig: HostConfig, facts: HostFacts): string[] {
  const warnings: string[] = [];
  for (const { Name: name, Soft: soft, Hard: hard } of hostConfig.Ulimits ?? []) {
    if (!Object.hasOwn(ulimitNames, name)) refuse(name, `invalid ulimit type: ${name}`);
    if (hard !== -1 && (soft === -1 || soft > hard)) {
      refuse(name, `ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`);
    }
    const ceiling = facts.mayRaiseLimits ? undefined : ownHardLimits().get(name);
    if (ceiling !== undefined && (hard === -1 ? Number.POSITIVE_INFINITY : hard) > ceiling) {
      warnings.push(`The engine may not raise hard limits on this host: ulimit ${name} is held at ${ceiling}.`);
    }
  }
  return warnings;
}

function checkRest(hostConfig: HostConfig, facts: HostFacts): string[] {
  const warnings: string[] = [];
  const { BlkioWeight: weight = 0, OomScoreAdj: score = 0 } = hostConfig;
  if (weight !== 0 && (weight < 10 || weight > 1000))
    refuse("blkio-weight", "Range of blkio weight is from 10 to 1000");
  if ((weight !== 0 || (hostConfig.BlkioWeightDevice ?? []).length > 0) && !facts.blkioWeight) {
    warnings.push("Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.");
  }
  if (score < -1000 || score > 1000) {
    refuse("oom-score-adj", `Invalid value ${score}, range for oom score adj is [-1000, 1000]`);
  }
  if (!facts.mayRaiseLimits && score < facts.oomScoreAdj) {
    warnings.push(`The engine may not lower oom_score_adj on this host: it is held at ${facts.oomScoreAdj}.`);
  }
  if ((hostConfig.ShmSize ?? 0) < 0) refuse("shm-size", "SHM size can not be less than 0");
  return warnings;
}
