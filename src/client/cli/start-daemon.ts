import { closeSync, mkdirSync, openSync } from "node:fs";
import { connect } from "node:net";
import { socketDefault } from "#client/api-client/endpoint.ts";

const logFile = "/var/log/skiff.log";
const patienceMs = 15_000;

/**
 * Where root calls and nobody answers at the default socket: starts the daemon in the background and says so once.
 * @returns whether it answers now
 */
export async function startDaemon(socket: string): Promise<boolean> {
  if (socket !== socketDefault || process.getuid?.() !== 0) return false;
  mkdirSync("/var/log", { recursive: true });
  const log = openSync(logFile, "a", 0o640);
  const compiled = Bun.main.startsWith("/$bunfs/");
  const words = compiled
    ? [process.execPath, "daemon"]
    : [process.execPath, "--no-install", "--no-env-file", Bun.main, "daemon"];
  const daemon = Bun.spawn(words, {
    stdio: ["ignore", log, log],
    env: { ...process.env, UV_THREADPOOL_SIZE: "16" },
    cwd: "/",
    detached: true,
  });
  closeSync(log);
  daemon.unref();
  const deadline = Date.now() + patienceMs;
  while (Date.now() < deadline && daemon.exitCode === null) {
    if (await answers(socket)) {
      process.stderr.write(
        `skiff: no daemon was running; started one in the background (pid ${daemon.pid}, log ${logFile})\n`,
      );
      return true;
    }
    await Bun.sleep(20);
  }
  process.stderr.write(`skiff: tried to start a daemon, but it does not answer; see ${logFile}\n`);
  return false;
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socket, () => {
      probe.destroy();
      resolve(true);
    });
    probe.on("error", () => resolve(false));
  });
}
