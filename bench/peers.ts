/** The two engines side by side: our daemon from dist/skiff and a private dockerd, with the same image in both. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testImages } from "#tests/fixtures/images.ts";

export interface Peer extends AsyncDisposable {
  readonly name: "skiff" | "docker";
  /** Words that call the peer's own CLI on it. */
  readonly cli: readonly string[];
  readonly host: string;
  /** Pid of the daemon. */
  readonly pid: number;
}

const root = join(import.meta.dir, "..");

async function answers(socket: string, patienceMs: number): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (Date.now() < deadline) {
    if (existsSync(socket)) {
      const response = await fetch("http://localhost/_ping", { unix: socket }).catch(() => null);
      if (response?.ok === true) return;
    }
    await Bun.sleep(50);
  }
  throw new Error(`nobody answers at ${socket}`);
}

async function call(words: readonly string[]): Promise<string> {
  const child = Bun.spawn([...words], { stdout: "pipe", stderr: "pipe" });
  const [out, error] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0) throw new Error(`${words.join(" ")}: ${error}`);
  return out;
}

/** Ends every container of a peer, then the daemon, then what it left. */
async function end(peer: { cli: readonly string[] }, daemon: Bun.Subprocess, directory: string): Promise<void> {
  const ids = (await call([...peer.cli, "ps", "-aq"]).catch(() => "")).split("\n").filter((id) => id !== "");
  if (ids.length > 0) await call([...peer.cli, "rm", "-f", ...ids]).catch(() => {});
  daemon.kill("SIGTERM");
  await daemon.exited;
  rmSync(directory, { recursive: true, force: true });
}

/** Our daemon, compiled. */
export async function startSkiff(): Promise<Peer> {
  const binary = join(root, "dist", "skiff");
  if (!existsSync(binary)) throw new Error("dist/skiff is missing: npm run build");
  const directory = mkdtempSync(join(tmpdir(), "skiff-bench-"));
  const socket = join(directory, "s.sock");
  const daemon = Bun.spawn(
    [
      binary,
      "daemon",
      "--data-root",
      join(directory, "data"),
      "--exec-root",
      join(directory, "run"),
      "-H",
      `unix://${socket}`,
    ],
    {
      stdio: ["ignore", "ignore", Bun.file(join(directory, "log"))],
      env: { ...process.env, UV_THREADPOOL_SIZE: "16" },
    },
  );
  await answers(socket, 10_000);
  const host = `unix://${socket}`;
  const cli = [binary, "-H", host];
  await call([...cli, "load", "-q", "-i", await testImages()]);
  return { name: "skiff", cli, host, pid: daemon.pid, [Symbol.asyncDispose]: () => end({ cli }, daemon, directory) };
}

/** Debian's dockerd in a network namespace of its own, so that it touches no rule of this host. null when it is not installed. */
export async function startDocker(): Promise<Peer | null> {
  const dockerd = Bun.which("dockerd", { PATH: "/usr/sbin:/usr/bin:/usr/local/bin" });
  if (dockerd === null || Bun.which("docker") === null) return null;
  const directory = mkdtempSync(join(tmpdir(), "docker-bench-"));
  const socket = join(directory, "d.sock");
  const pidFile = join(directory, "pid");
  const script = `ip link set lo up; exec ${dockerd} --data-root ${directory}/root --exec-root ${directory}/run -H unix://${socket} -p ${pidFile} --bip 10.213.0.1/24`;
  const daemon = Bun.spawn(["unshare", "-n", "sh", "-c", script], {
    stdio: ["ignore", "ignore", Bun.file(join(directory, "log"))],
  });
  await answers(socket, 30_000);
  const host = `unix://${socket}`;
  const cli = ["docker", "-H", host];
  await call([...cli, "load", "-q", "-i", await testImages()]);
  const pid = Number(readFileSync(pidFile, "utf8"));
  return { name: "docker", cli, host, pid, [Symbol.asyncDispose]: () => end({ cli }, daemon, directory) };
}

/** Milliseconds that a command takes. @throws Error when it fails */
export async function timed(words: readonly string[]): Promise<number> {
  const begun = performance.now();
  const child = Bun.spawn([...words], { stdio: ["ignore", "ignore", "pipe"] });
  const code = await child.exited;
  const ms = performance.now() - begun;
  if (code !== 0) throw new Error(`${words.join(" ")} failed with ${code}: ${await new Response(child.stderr).text()}`);
  return ms;
}

export { call };

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Resident and proportional memory of a process in MiB. */
export function memoryMiB(pid: number): { rss: number; pss: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0) / 1024;
  return { rss: field("Rss"), pss: field("Pss") };
}
