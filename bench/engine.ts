/**
 * The engine against Debian's dockerd, alternating in one run; medians and ratios.
 * `bun bench/engine.ts [--rounds N] [--cycles N]`; cycles are create/start/rm rounds for the memory row.
 */
import { readdirSync, readFileSync } from "node:fs";
import { call, median, memoryMiB, type Peer, startDocker, startSkiff, timed } from "./peers.ts";

const option = (name: string, otherwise: number) => {
  const index = process.argv.indexOf(name);
  return index < 0 ? otherwise : Number(process.argv[index + 1]);
};
const rounds = option("--rounds", 15);
const cycles = option("--cycles", 500);

interface Row {
  readonly what: string;
  readonly ours: string;
  readonly theirs: string;
  readonly ratio: string;
  readonly goal: string;
}
const table: Row[] = [];

async function compare(
  what: string,
  goal: string,
  skiff: Peer,
  docker: Peer | null,
  words: (peer: Peer) => readonly string[],
): Promise<void> {
  const [ours, theirs]: [number[], number[]] = [[], []];
  await timed(words(skiff));
  if (docker !== null) await timed(words(docker));
  for (let round = 0; round < rounds; round++) {
    ours.push(await timed(words(skiff)));
    if (docker !== null) theirs.push(await timed(words(docker)));
  }
  addTimes(what, goal, median(ours), docker === null ? null : median(theirs));
}

function addTimes(what: string, goal: string, ours: number, theirs: number | null): void {
  const ratio = theirs === null ? "-" : `1/${(theirs / ours).toFixed(1)}`;
  table.push({
    what,
    ours: `${ours.toFixed(1)} ms`,
    theirs: theirs === null ? "-" : `${theirs.toFixed(1)} ms`,
    ratio,
    goal,
  });
  console.error(`${what}: ${ours.toFixed(1)} ms, docker ${theirs?.toFixed(1) ?? "-"} ms`);
}

/** Processes that an engine keeps for its containers besides their own. */
function supervisors(match: (words: readonly string[]) => boolean): number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      return match(readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0")) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

async function idleMemory(
  peer: Peer,
  count: number,
  isSupervisor: (words: readonly string[]) => boolean,
): Promise<number> {
  const before = memoryMiB(peer.pid).pss;
  for (let index = 0; index < count; index++)
    await call([...peer.cli, "run", "-d", "--name", `idle${index}`, "busybox:test", "sleep", "1000"]);
  const extra = supervisors(isSupervisor).reduce((sum, pid) => sum + memoryMiB(pid).pss, 0);
  const growth = Math.max(0, memoryMiB(peer.pid).pss - before);
  await call([...peer.cli, "rm", "-f", ...Array.from({ length: count }, (_, index) => `idle${index}`)]);
  return (extra + growth) / count;
}

async function together(peer: Peer, count: number): Promise<number> {
  const names = Array.from({ length: count }, (_, index) => `many${index}`);
  const begun = performance.now();
  await Promise.all(
    names.map((name) => call([...peer.cli, "run", "-d", "--name", name, "busybox:test", "sleep", "1000"])),
  );
  const ms = performance.now() - begun;
  const running = (await call([...peer.cli, "ps", "-q"])).trim().split("\n").length;
  if (running < count) throw new Error(`${peer.name}: only ${running} of ${count} run`);
  await call([...peer.cli, "rm", "-f", ...names]);
  return ms;
}

async function request(peer: Peer, method: string, path: string, body?: unknown): Promise<Response> {
  return fetch(`http://localhost${path}`, {
    method,
    unix: peer.host.slice("unix://".length),
    ...(body !== undefined && { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
  });
}

async function listing(peer: Peer, count: number): Promise<number> {
  const ids: string[] = [];
  for (let index = 0; index < count; index++) {
    const response = await request(peer, "POST", `/containers/create?name=list${index}`, {
      Image: "busybox:test",
      Cmd: ["true"],
    });
    ids.push(((await response.json()) as { Id: string }).Id);
  }
  const times: number[] = [];
  for (let round = 0; round < 15; round++) {
    const begun = performance.now();
    await (await request(peer, "GET", "/containers/json?all=1")).text();
    times.push(performance.now() - begun);
  }
  for (const id of ids) await request(peer, "DELETE", `/containers/${id}`);
  return median(times);
}

async function flatness(peer: Peer): Promise<string> {
  const samples: number[] = [];
  for (let cycle = 0; cycle < cycles; cycle++) {
    const response = await request(peer, "POST", "/containers/create", {
      Image: "busybox:test",
      Cmd: ["true"],
      HostConfig: { NetworkMode: "none" },
    });
    const { Id: id } = (await response.json()) as { Id: string };
    await request(peer, "POST", `/containers/${id}/start`);
    await (await request(peer, "POST", `/containers/${id}/wait`)).text();
    await request(peer, "DELETE", `/containers/${id}`);
    if (cycle % Math.max(1, Math.floor(cycles / 10)) === 0) samples.push(memoryMiB(peer.pid).rss);
  }
  samples.push(memoryMiB(peer.pid).rss);
  return samples.map((rss) => rss.toFixed(0)).join(" ");
}

await using skiff = await startSkiff();
await using docker = await startDocker();
if (docker === null) console.error("dockerd is not installed: only Skiff is measured");

const idleRss = memoryMiB(skiff.pid).rss;
await compare("run --rm busybox true, bridge", "1/6", skiff, docker, (peer) => [
  ...peer.cli,
  "run",
  "--rm",
  "busybox:test",
  "true",
]);
await compare("run --rm busybox true, --network none", "1/8", skiff, docker, (peer) => [
  ...peer.cli,
  "run",
  "--rm",
  "--network",
  "none",
  "busybox:test",
  "true",
]);
for (const peer of [skiff, docker])
  if (peer !== null)
    await call([...peer.cli, "run", "-d", "--name", "target", "--network", "none", "busybox:test", "sleep", "1000"]);
await compare("exec true", "1/3", skiff, docker, (peer) => [...peer.cli, "exec", "target", "true"]);
for (const peer of [skiff, docker]) if (peer !== null) await call([...peer.cli, "rm", "-f", "target"]);
await compare("--version", "1/1", skiff, docker, (peer) => [peer.cli[0] ?? "", "--version"]);
const ourMemory = await idleMemory(skiff, 10, (words) => (words[0] ?? "").endsWith("conmon"));
const theirMemory =
  docker === null ? null : await idleMemory(docker, 10, (words) => (words[0] ?? "").includes("containerd-shim"));
table.push({
  what: "memory per idle container (PSS)",
  ours: `${ourMemory.toFixed(2)} MiB`,
  theirs: theirMemory === null ? "-" : `${theirMemory.toFixed(2)} MiB`,
  ratio: theirMemory === null ? "-" : `1/${(theirMemory / ourMemory).toFixed(1)}`,
  goal: "<= 2.5 MiB",
});
const [ours50, theirs50]: [number[], number[]] = [[], []];
for (let round = 0; round < 3; round++) {
  ours50.push(await together(skiff, 50));
  if (docker !== null) theirs50.push(await together(docker, 50));
}
addTimes("50 containers at once", "1/3", median(ours50), docker === null ? null : median(theirs50));
addTimes(
  "list of 500 containers (API)",
  "<= 30 ms",
  await listing(skiff, 500),
  docker === null ? null : await listing(docker, 500),
);
table.push({
  what: "idle daemon, RSS",
  ours: `${idleRss.toFixed(0)} MiB`,
  theirs: docker === null ? "-" : `${memoryMiB(docker.pid).rss.toFixed(0)} MiB`,
  ratio: "",
  goal: "<= 80 MiB",
});
table.push({
  what: `daemon RSS over ${cycles} create/start/rm`,
  ours: `${await flatness(skiff)} MiB`,
  theirs: "",
  ratio: "",
  goal: "flat",
});
console.log(`| what | skiff | docker | ratio | goal |\n|---|---|---|---|---|`);
for (const row of table) console.log(`| ${row.what} | ${row.ours} | ${row.theirs} | ${row.ratio} | ${row.goal} |`);
