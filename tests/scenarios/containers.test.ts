import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Cli, noDaemonBecause, TestDaemon } from "#tests/fixtures/daemon.ts";

const skip = noDaemonBecause !== null;
if (skip) console.log(`skipped: ${noDaemonBecause}`);

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

const clis: [string, () => Cli][] = [["skiff", () => daemon.skiff]];
if (Bun.which("docker") !== null) clis.push(["docker", () => daemon.docker]);

describe.skipIf(skip).each(clis)("containers by %s", (name, cliOf) => {
  const cli: Cli = (words, options) => cliOf()(words, options);

  test.each([
    // words, stdout, exit code
    [["echo", "hi"], "hi\n", 0],
    [["sh", "-c", "exit 3"], "", 3],
    [["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], "", 137],
    [["sh", "-c", "sh -c 'kill -TERM $$'; exit $?"], "", 143],
    [["nope"], "", 127],
    [["/nope"], "", 127],
    [["/etc/passwd"], "", 126],
    [["/tmp"], "", 126],
  ])("run --rm %j", async (words, out, code) => {
    const ran = await cli(["run", "--rm", "busybox:test", ...words]);
    expect({ out: ran.out, code: ran.code }).toEqual({ out, code });
    if (words[0] === "nope") expect(ran.err).toContain('exec: "nope": executable file not found in $PATH');
  });

  test("stdout and stderr stay apart", async () => {
    const ran = await cli(["run", "--rm", "busybox:test", "sh", "-c", "echo out; echo err >&2"]);
    expect(ran).toEqual({ code: 0, out: "out\n", err: "err\n" });
  });

  test("stdin reaches the container and its end, too", async () => {
    const text = "x".repeat(300_000);
    const ran = await cli(["run", "--rm", "-i", "busybox:test", "wc", "-c"], { stdin: text });
    expect(ran.out.trim()).toBe(String(text.length));
  });

  test("large output comes whole", async () => {
    const ran = await cli(["run", "--rm", "busybox:test", "sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' x"]);
    expect(ran.out.length).toBe(5_000_000);
  });

  test("life: run -d, ps, logs, exec, stop, start, rm", async () => {
    const created = await cli(["run", "-d", "--name", `web-${name}`, "web:test"]);
    const id = created.out.trim();
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    expect((await cli(["ps", "--format", "{{.Names}} {{.Image}} {{.State}}"])).out).toContain(
      `web-${name} web:test running`,
    );
    expect((await cli(["exec", `web-${name}`, "sh", "-c", "echo in; exit 7"])).code).toBe(7);
    expect((await cli(["exec", "-i", `web-${name}`, "cat"], { stdin: "piped" })).out).toBe("piped");
    expect(
      (
        await cli([
          "exec",
          "-e",
          "A=b",
          "-w",
          "/tmp",
          "-u",
          "app",
          `web-${name}`,
          "sh",
          "-c",
          "echo $A $(pwd) $(id -u)",
        ])
      ).out,
    ).toBe("b /tmp 1000\n");
    const missing = await cli(["exec", `web-${name}`, "nope"]);
    expect(missing.code).toBe(127);
    const refused = await cli(["rm", `web-${name}`]);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain("container is running: stop the container before removing or force remove");
    expect((await cli(["top", id.slice(0, 12)])).out).toContain("httpd -f -p 80");
    expect((await cli(["stop", "-t", "1", `web-${name}`])).out).toBe(`web-${name}\n`);
    expect((await cli(["ps", "-a", "--filter", `name=web-${name}`, "--format", "{{.Status}}"])).out).toMatch(
      /^Exited \(137\) /,
    );
    expect((await cli(["ps", "-q"])).out).not.toContain(id.slice(0, 12));
    expect((await cli(["start", `web-${name}`])).code).toBe(0);
    expect((await cli(["rm", "-f", `web-${name}`])).code).toBe(0);
    expect((await cli(["inspect", `web-${name}`])).err).toMatch(/no such object/i);
  });

  test("logs: tail, follow, timestamps, streams", async () => {
    await cli([
      "run",
      "-d",
      "--name",
      `log-${name}`,
      "busybox:test",
      "sh",
      "-c",
      "for i in 1 2 3 4 5; do echo line $i; done; echo oops >&2; sleep 1; echo last; printf partial",
    ]);
    const followed = await cli(["logs", "-f", "--tail", "2", `log-${name}`]);
    expect(followed.out + followed.err).toContain("last\npartial");
    expect(followed.err).toBe("oops\n");
    const all = await cli(["logs", `log-${name}`]);
    expect(all).toEqual({ code: 0, out: "line 1\nline 2\nline 3\nline 4\nline 5\nlast\npartial", err: "oops\n" });
    expect((await cli(["logs", "-t", "--tail", "1", `log-${name}`])).out).toMatch(
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z /,
    );
    await cli(["rm", `log-${name}`]);
  });

  test("names: taken, malformed, generated, short ids, rename", async () => {
    const { out } = await cli(["create", "--name", `taken-${name}`, "busybox:test"]);
    const again = await cli(["create", "--name", `taken-${name}`, "busybox:test"]);
    expect(again.err).toContain(
      `Conflict. The container name "/taken-${name}" is already in use by container "${out.trim()}"`,
    );
    expect((await cli(["create", "--name", "-bad", "busybox:test"])).err).toContain("Invalid container name (-bad)");
    await cli(["rename", out.trim().slice(0, 6), `other-${name}`]);
    expect((await cli(["inspect", "-f", "{{.Name}}", out.trim().slice(0, 10)])).out).toBe(`/other-${name}\n`);
    const generated = await cli(["create", "busybox:test"]);
    expect((await cli(["inspect", "-f", "{{.Name}}", generated.out.trim()])).out).toMatch(/^\/[a-z]+_[a-z]+\d*\n$/);
    await cli(["rm", generated.out.trim(), `other-${name}`]);
  });

  test("configuration: env, env-file, entrypoint, workdir, labels, cidfile, hostname", async () => {
    const file = join(daemon.directory, `env-${name}`);
    const cid = join(daemon.directory, `cid-${name}`);
    writeFileSync(file, "# comment\nFROM_FILE=yes\nBOTH=file\n");
    const script = "echo $FROM_FILE $BOTH; pwd; hostname";
    const words = [
      "run",
      "--rm",
      "--env-file",
      file,
      "-e",
      "BOTH=flag",
      "-w",
      "/made/new",
      "--hostname",
      "box",
      "-l",
      "a=b",
      "--cidfile",
      cid,
      "--entrypoint",
      "sh",
      "busybox:test",
      "-c",
      script,
    ];
    expect((await cli(words)).out).toBe("yes flag\n/made/new\nbox\n");
    expect(readFileSync(cid, "utf8")).toMatch(/^[0-9a-f]{64}$/);
    const second = await cli(words);
    expect(second.code).toBe(125);
    expect(second.err).toContain("container ID file found");
    rmSync(cid);
  });

  test("wait, kill, pause, restart", async () => {
    const { out } = await cli([
      "run",
      "-d",
      "busybox:test",
      "sh",
      "-c",
      "trap 'exit 9' USR1; while :; do sleep 0.1; done",
    ]);
    const id = out.trim();
    expect((await cli(["pause", id])).code).toBe(0);
    expect((await cli(["inspect", "-f", "{{.State.Status}}", id])).out).toBe("paused\n");
    expect((await cli(["exec", id, "true"])).err).toContain("is paused, unpause the container before exec");
    expect((await cli(["unpause", id])).code).toBe(0);
    expect((await cli(["restart", "-t", "0", id])).code).toBe(0);
    await Bun.sleep(300);
    const waiting = cli(["wait", id]);
    await Bun.sleep(100);
    await cli(["kill", "-s", "USR1", id]);
    expect((await waiting).out).toBe("9\n");
    const stopped = await cli(["kill", id]);
    expect(stopped.err).toContain("is not running");
    await cli(["rm", id]);
  });

  test("isolation as asked: user, read-only, no new privileges, no capabilities", async () => {
    const ran = await cli([
      "run",
      "--rm",
      "--user",
      "1000:1000",
      "--read-only",
      "--security-opt",
      "no-new-privileges",
      "--cap-drop",
      "ALL",
      "busybox:test",
      "cat",
      "/proc/self/status",
    ]);
    expect(ran.out).toMatch(/Uid:\t1000\t1000\t1000\t1000/);
    expect(ran.out).toMatch(/CapEff:\t0+\n/);
    expect(ran.out).toMatch(/CapBnd:\t0+\n/);
    expect(ran.out).toMatch(/NoNewPrivs:\t1/);
    expect(ran.out).toMatch(/Seccomp:\t2/);
    const written = await cli(["run", "--rm", "--read-only", "busybox:test", "touch", "/x"]);
    expect(written.err).toContain("Read-only file system");
  });

  test("users by name with their groups; unknown and out of range are refused", async () => {
    expect(
      (
        await cli([
          "run",
          "--rm",
          "-u",
          "app",
          "--group-add",
          "3000",
          "busybox:test",
          "sh",
          "-c",
          "id -u; id -g; id -G",
        ])
      ).out,
    ).toBe("1000\n1000\n1000 2000 3000\n");
    expect((await cli(["run", "--rm", "-u", "ghost", "busybox:test", "id"])).err).toContain(
      "unable to find user ghost",
    );
    const large = await cli(["run", "--rm", "-u", "4294967296", "busybox:test", "id"]);
    expect(large.code).not.toBe(0);
    expect(large.err).toContain("uids and gids must be in range");
  });

  test("limits are the kernel's: memory, pids, cpu, shm, ulimit", async () => {
    const hog = await cli(["run", "--name", `hog-${name}`, "-m", "24m", "busybox:test", "tail", "/dev/zero"]);
    expect(hog.code).toBe(137);
    expect((await cli(["inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", `hog-${name}`])).out).toBe(
      "true 137\n",
    );
    await cli(["rm", `hog-${name}`]);
    const forks = await cli([
      "run",
      "--rm",
      "--pids-limit",
      "8",
      "busybox:test",
      "sh",
      "-c",
      "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 2 & done; wait",
    ]);
    expect(forks.err).toMatch(/can't fork|Resource temporarily unavailable/);
    const read =
      "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max; ulimit -n; df -m /dev/shm | tail -n 1 | awk '{print $2}'";
    const limits = await cli([
      "run",
      "--rm",
      "-m",
      "64m",
      "--cpus",
      "0.5",
      "--ulimit",
      "nofile=512:1024",
      "--shm-size",
      "32m",
      "busybox:test",
      "sh",
      "-c",
      read,
    ]);
    expect(limits.out).toBe("67108864\n50000\n512\n32\n");
  });

  test("namespaces of the host or of another container", async () => {
    const { out } = await cli([
      "run",
      "-d",
      "--name",
      `peer-${name}`,
      "--hostname",
      "peerhost",
      "--ipc",
      "shareable",
      "busybox:test",
      "sleep",
      "100",
    ]);
    expect(out.trim()).toHaveLength(64);
    expect((await cli(["run", "--rm", "--pid", `container:peer-${name}`, "busybox:test", "ps"])).out).toContain(
      "sleep 100",
    );
    const address = "ip -4 addr show eth0 | awk '/inet/{print $2}'";
    const own = (await cli(["exec", `peer-${name}`, "sh", "-c", address])).out;
    expect(
      (await cli(["run", "--rm", "--network", `container:peer-${name}`, "busybox:test", "sh", "-c", address])).out,
    ).toBe(own);
    expect((await cli(["run", "--rm", "--uts", "host", "busybox:test", "hostname"])).out.trim()).toBe(
      readFileSync("/proc/sys/kernel/hostname", "utf8").trim(),
    );
    expect((await cli(["run", "--rm", "--network", "none", "busybox:test", "ls", "/sys/class/net"])).out).not.toContain(
      "eth0",
    );
    await cli(["rm", "-f", `peer-${name}`]);
  });

  test("restart policies count and give up", async () => {
    await cli([
      "run",
      "-d",
      "--name",
      `again-${name}`,
      "--restart",
      "on-failure:2",
      "busybox:test",
      "sh",
      "-c",
      "exit 4",
    ]);
    for (let attempt = 0; attempt < 60; attempt++) {
      const { out } = await cli(["inspect", "-f", "{{.RestartCount}} {{.State.Status}}", `again-${name}`]);
      if (out === "2 exited\n") break;
      await Bun.sleep(100);
    }
    expect(
      (await cli(["inspect", "-f", "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}", `again-${name}`])).out,
    ).toBe("2 exited 4\n");
    await cli(["rm", `again-${name}`]);
  });

  test("an unknown image is a clear error", async () => {
    const ran = await cli(["run", "--rm", "no/such:image", "true"]);
    expect(ran.code).toBe(125);
    expect(ran.err).toContain("no/such:image");
  });

  test("bad flags are refused before anything is made", async () => {
    const before = (await cli(["ps", "-aq"])).out;
    for (const words of [
      ["-p", "abc:80"],
      ["-m", "1k"],
      ["--cap-add", "NOPE"],
      ["-v", "a:b:c:d"],
      ["--mount", "type=bind,source=/does/not/exist,target=/x"],
      ["--cpus", "99"],
      ["--restart", "sometimes"],
      ["--security-opt", "seccomp=/does/not/exist"],
    ]) {
      const ran = await cli(["run", "--rm", ...words, "busybox:test", "true"]);
      expect({ words, code: ran.code }).toEqual({ words, code: 125 });
      expect(ran.err.length).toBeGreaterThan(10);
    }
    expect((await cli(["ps", "-aq"])).out).toBe(before);
  });
});
