/** Limits of a container as the OCI runtime takes them. */
import { readFileSync, statSync } from "node:fs";
import type { HostConfig, ThrottleDevice } from "#spec/engine-api/container.ts";
import type { RuntimeProcess, RuntimeResources } from "#spec/oci/runtime.ts";
import { deviceNumbers } from "./devices.ts";
import type { HostFacts } from "./host-facts.ts";

type Rlimits = NonNullable<RuntimeProcess["rlimits"]>;

/** Memory and swap together; unset is twice the memory, -1 is no limit. */
function swapLimit({ Memory: memory = 0, MemorySwap: swap = 0 }: HostConfig): number | undefined {
  if (swap !== 0) return swap;
  return memory > 0 ? memory * 2 : undefined;
}

function cpu(hostConfig: HostConfig): NonNullable<RuntimeResources["cpu"]> {
  const { NanoCpus: nano = 0, CpuShares: shares = 0, CpuQuota: quota = 0, CpuPeriod: period = 0 } = hostConfig;
  return {
    ...(shares !== 0 && { shares }),
    ...(nano > 0 && { period: 100_000, quota: Math.floor(nano / 10_000) }),
    ...(nano === 0 && quota !== 0 && { quota }),
    ...(nano === 0 && period !== 0 && { period }),
    ...(hostConfig.CpuRealtimePeriod && { realtimePeriod: hostConfig.CpuRealtimePeriod }),
    ...(hostConfig.CpuRealtimeRuntime && { realtimeRuntime: hostConfig.CpuRealtimeRuntime }),
    ...(hostConfig.CpusetCpus && { cpus: hostConfig.CpusetCpus }),
    ...(hostConfig.CpusetMems && { mems: hostConfig.CpusetMems }),
  };
}

function blockIo(hostConfig: HostConfig, facts: HostFacts): NonNullable<RuntimeResources["blockIO"]> {
  const numbered = (path: string) => deviceNumbers(statSync(path).rdev);
  const throttle = (list: ThrottleDevice[] | null | undefined) =>
    (list ?? []).map(({ Path, Rate }) => ({ ...numbered(Path), rate: Rate }));
  const lists = {
    throttleReadBpsDevice: throttle(hostConfig.BlkioDeviceReadBps),
    throttleWriteBpsDevice: throttle(hostConfig.BlkioDeviceWriteBps),
    throttleReadIOPSDevice: throttle(hostConfig.BlkioDeviceReadIOps),
    throttleWriteIOPSDevice: throttle(hostConfig.BlkioDeviceWriteIOps),
    weightDevice: facts.blkioWeight
      ? (hostConfig.BlkioWeightDevice ?? []).map(({ Path, Weight }) => ({ ...numbered(Path), weight: Weight }))
      : [],
  };
  return {
    ...(hostConfig.BlkioWeight && facts.blkioWeight && { weight: hostConfig.BlkioWeight }),
    ...Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0)),
  };
}

/** Without `devices`. What the host cannot do is left out; `check` has warned of it. */
export function runtimeResources(hostConfig: HostConfig, facts: HostFacts): RuntimeResources {
  const swap = facts.swapLimit ? swapLimit(hostConfig) : undefined;
  const swappiness = hostConfig.MemorySwappiness ?? -1;
  const memory = {
    ...(hostConfig.Memory && { limit: hostConfig.Memory }),
    ...(hostConfig.MemoryReservation && { reservation: hostConfig.MemoryReservation }),
    ...(swap !== undefined && { swap }),
    ...(swappiness >= 0 && facts.cgroupVersion === 1 && { swappiness }),
    ...(hostConfig.OomKillDisable === true && facts.cgroupVersion === 1 && { disableOOMKiller: true }),
  };
  const [cpus, io] = [cpu(hostConfig), blockIo(hostConfig, facts)];
  const pids = hostConfig.PidsLimit ?? 0;
  return {
    ...(Object.keys(memory).length > 0 && { memory }),
    ...(Object.keys(cpus).length > 0 && { cpu: cpus }),
    ...(pids !== 0 && { pids: { limit: pids < 0 ? -1 : pids } }),
    ...(Object.keys(io).length > 0 && { blockIO: io }),
  };
}

/** Docker's names, and how /proc/self/limits calls each. */
export const ulimitNames: Readonly<Record<string, string>> = {
  core: "Max core file size",
  cpu: "Max cpu time",
  data: "Max data size",
  fsize: "Max file size",
  locks: "Max file locks",
  memlock: "Max locked memory",
  msgqueue: "Max msgqueue size",
  nice: "Max nice priority",
  nofile: "Max open files",
  nproc: "Max processes",
  rss: "Max resident set",
  rtprio: "Max realtime priority",
  rttime: "Max realtime timeout",
  sigpending: "Max pending signals",
  stack: "Max stack size",
};

declare global {
  interface JSON {
    rawJSON(text: string): object;
  }
}

/** RLIM_INFINITY is beyond what a double holds, so it goes into config.json as text. */
const unlimited = JSON.rawJSON("18446744073709551615") as unknown as number;

let ownHard: ReadonlyMap<string, number> | undefined;

/** Hard limits of this process by Docker's name; Infinity is unlimited. */
export function ownHardLimits(): ReadonlyMap<string, number> {
  if (ownHard !== undefined) return ownHard;
  const text = readFileSync("/proc/self/limits", "utf8");
  ownHard = new Map(
    Object.entries(ulimitNames).map(([name, title]) => {
      const hard = text
        .split("\n")
        .find((line) => line.startsWith(title))
        ?.slice(title.length)
        .trim()
        .split(/\s+/)[1];
      return [name, hard === undefined || hard === "unlimited" ? Number.POSITIVE_INFINITY : Number(hard)];
    }),
  );
  return ownHard;
}

/** @param ceilings null when the engine may raise hard limits */
export function rlimits(hostConfig: HostConfig, ceilings: ReadonlyMap<string, number> | null): Rlimits {
  return (hostConfig.Ulimits ?? []).map(({ Name: name, Soft, Hard }) => {
    const ceiling = ceilings?.get(name) ?? Number.POSITIVE_INFINITY;
    const wanted = (value: number) => Math.min(value < 0 ? Number.POSITIVE_INFINITY : value, ceiling);
    const write = (value: number) => (value === Number.POSITIVE_INFINITY ? unlimited : value);
    const hard = wanted(Hard);
    return { type: `RLIMIT_${name.toUpperCase()}`, hard: write(hard), soft: write(Math.min(wanted(Soft), hard)) };
  });
}
