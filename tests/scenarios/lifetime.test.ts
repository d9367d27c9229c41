import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { noDaemonBecause, run, TestDaemon } from "#tests/fixtures/daemon.ts";

const skip = noDaemonBecause !== null;
if (skip) console.log(`skipped: ${noDaemonBecause}`);

/** Moments at which the daemon is killed; the long campaign sets more. */
const kills = Number(process.env.SKIFF_KILLS ?? 12);
const seed = Number(process.env.SKIFF_SEED ?? Date.now() % 1_000_000);

/** Numbers that a seed gives again. @see mulberry32 */
function random(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

let daemon: TestDaemon;
beforeAll(async () => {
  if (!skip) daemon = await TestDaemon.start();
});
afterAll(async () => {
  if (skip) return;
  await daemon.clear();
  expect(await daemon.leftovers()).toEqual([]);
  await daemon[Symbol.asyncDispose]();
  expect(daemon.hostTraces()).toEqual([]);
});

const inspect = async (name: string, format: string) =>
  (await daemon.skiff(["inspect", "-f", format, name])).out.trim();

describe.skipIf(skip)("kill -9 of the daemon", () => {
  test("stops no container; logs are complete; ends that came meanwhile are known; ports are held again", async () => {
    await daemon.skiff([
      "run",
      "-d",
      "--name",
      "ticker",
      "busybox:test",
      "sh",
      "-c",
      "for i in $(seq 1 400); do echo tick $i; sleep 0.01; done; sleep 100",
    ]);
    await daemon.skiff(["run", "-d", "--name", "short", "busybox:test", "sh", "-c", "sleep 1; exit 5"]);
    await daemon.skiff(["run", "-d", "--rm", "--name", "passing", "busybox:test", "sleep", "1"]);
    await daemon.skiff(["run", "-d", "--name", "web", "-p", "127.0.0.1::80", "web:test"]);
    const port = Number(/:(\d+)/.exec((await daemon.skiff(["port", "web", "80"])).out)?.[1]);
    const pid = await inspect("ticker", "{{.State.Pid}}");
    await daemon.crash();
    expect(statSync(`/proc/${pid}`).isDirectory()).toBe(true);
    expect((await run(["curl", "-s", "-m", "3", `http://127.0.0.1:${port}/`])).out).toBe("hello from web\n");
    await Bun.sleep(1800);
    await daemon.up();
    expect(await inspect("ticker", "{{.State.Status}} {{.State.Pid}}")).toBe(`running ${pid}`);
    expect(await inspect("short", "{{.State.Status}} {{.State.ExitCode}}")).toBe("exited 5");
    expect((await daemon.skiff(["ps", "-a", "--format", "{{.Names}}"])).out).not.toContain("passing");
    await Bun.sleep(3500);
    const lines = (await daemon.skiff(["logs", "ticker"])).out.trim().split("\n");
    expect(lines).toEqual(Array.from({ length: 400 }, (_, index) => `tick ${index + 1}`));
    expect((await daemon.skiff(["exec", "ticker", "echo", "alive"])).out).toBe("alive\n");
    expect((await daemon.skiff(["run", "--rm", "-p", `127.0.0.1:${port}:80`, "web:test"])).err).toContain(
      "port is already allocated",
    );
    expect((await run(["curl", "-s", "-m", "3", `http://127.0.0.1:${port}/`])).out).toBe("hello from web\n");
    expect((await daemon.skiff(["stop", "-t", "0", "ticker"])).code).toBe(0);
    expect(await inspect("ticker", "{{.State.Status}} {{.State.ExitCode}}")).toBe("exited 137");
    await daemon.clear();
  });

  test("restart policies go on", async () => {
    const sleeper = ["busybox:test", "sleep", "100"];
    await daemon.skiff(["run", "-d", "--name", "always", "--restart", "always", ...sleeper]);
    await daemon.skiff(["run", "-d", "--name", "unless", "--restart", "unless-stopped", ...sleeper]);
    await daemon.skiff(["run", "-d", "--name", "halted", "--restart", "unless-stopped", ...sleeper]);
    await daemon.skiff(["stop", "-t", "0", "halted"]);
    const pids = await Promise.all(["always", "unless"].map((name) => inspect(name, "{{.State.Pid}}")));
    await daemon.crash();
    // As after a power cut: the containers are gone as well.
    for (const pid of pids) process.kill(Number(pid), "SIGKILL");
    await Bun.sleep(300);
    await daemon.up();
    for (let attempt = 0; attempt < 50 && (await inspect("unless", "{{.State.Status}}")) !== "running"; attempt++)
      await Bun.sleep(100);
    expect(await inspect("always", "{{.State.Status}}")).toBe("running");
    expect(await inspect("unless", "{{.State.Status}}")).toBe("running");
    expect(await inspect("halted", "{{.State.Status}}")).toBe("exited");
    await daemon.clear();
  });

  test(`at ${kills} random moments of starting, running and stopping loses nothing (seed ${seed})`, async () => {
    const next = random(seed);
    await daemon.skiff(["run", "-d", "--name", "steady", "busybox:test", "sleep", "1000"]);
    const steadyPid = await inspect("steady", "{{.State.Pid}}");
    for (let round = 0; round < kills; round++) {
      const names = [0, 1, 2].map((index) => `r${round}-${index}`);
      const acknowledged = new Set<string>();
      const removed = new Set<string>();
      const work = Promise.all(
        names.map(async (name, index) => {
          const flags = index === 1 ? ["-p", "127.0.0.1::80"] : [];
          if ((await daemon.skiff(["run", "-d", "--name", name, ...flags, "busybox:test", "sleep", "1000"])).code === 0)
            acknowledged.add(name);
          if (index === 2 && (await daemon.skiff(["rm", "-f", name])).code === 0) removed.add(name);
        }),
      );
      await Bun.sleep(60 + next() * 500);
      const removedBefore = new Set(removed);
      await daemon.crash();
      await work;
      await daemon.up();
      const known = (await daemon.skiff(["ps", "-a", "--format", "{{.Names}} {{.State}}"])).out;
      for (const name of acknowledged) if (!names[2]?.includes(name)) expect(known).toContain(`${name} running`);
      for (const name of removedBefore) expect(known).not.toContain(name);
      expect(await inspect("steady", "{{.State.Status}} {{.State.Pid}}")).toBe(`running ${steadyPid}`);
      // Whatever state it is in, it can be removed, and a new one of that name can be made.
      for (const name of names) await daemon.skiff(["rm", "-f", name]);
      expect(
        (await daemon.skiff(["run", "--rm", "--name", names[0] ?? "x", "busybox:test", "echo", "again"])).out,
      ).toBe("again\n");
    }
    await daemon.clear();
    expect(await daemon.leftovers()).toEqual([]);
  });
});

describe.skipIf(skip)("the daemon", () => {
  test("a second one on the same data-root is refused", async () => {
    const second = await run([
      process.execPath,
      join(import.meta.dir, "../../src/main.ts"),
      "daemon",
      "--data-root",
      daemon.dataRoot,
      "--exec-root",
      daemon.execRoot,
      "-H",
      `unix://${daemon.socket}.2`,
    ]);
    expect(second.code).toBe(1);
    expect(second.err).toContain(`another daemon (pid ${daemon.pid}) uses the data-root ${daemon.dataRoot}`);
  });

  test("its socket is for root and the group alone", () => {
    expect((statSync(daemon.socket).mode & 0o777).toString(8)).toBe("660");
  });

  test("logs rotate, so that no container fills the disk, and readers lose no line of what is kept", async () => {
    await daemon.skiff([
      "run",
      "-d",
      "--name",
      "flood",
      "--log-opt",
      "max-size=200k",
      "--log-opt",
      "max-file=3",
      "busybox:test",
      "sh",
      "-c",
      "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); echo line number $i; [ $((i % 1000)) = 0 ] && sleep 0.1; done; sleep 100",
    ]);
    const id = await inspect("flood", "{{.Id}}");
    for (let attempt = 0; attempt < 150; attempt++) {
      if ((await daemon.skiff(["logs", "--tail", "1", "flood"])).out === "line number 30000\n") break;
      await Bun.sleep(100);
    }
    await Bun.sleep(1200);
    const directory = join(daemon.dataRoot, "containers", id);
    const sizes = ["container.log", "container.log.1", "container.log.2", "container.log.3"].map(
      (name) => statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0,
    );
    expect(sizes[3]).toBe(0);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(3_000_000);
    const lines = (await daemon.skiff(["logs", "flood"])).out
      .trim()
      .split("\n")
      .map((line) => Number(line.split(" ")[2]));
    expect(lines.at(-1)).toBe(30000);
    for (let index = 1; index < lines.length; index++) expect(lines[index]).toBe((lines[index - 1] ?? 0) + 1);
    await daemon.clear();
  });

  test("a container's log is in conmon's own form", async () => {
    await daemon.skiff(["run", "--name", "form", "busybox:test", "echo", "x"]);
    const path = await inspect("form", "{{.LogPath}}");
    expect(readFileSync(path, "utf8")).toMatch(/ stdout F x\n$/);
    await daemon.clear();
  });
});
