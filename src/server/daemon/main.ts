import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError, errorMessage } from "#base/errors.ts";
import { createLogger, type Logger, type LogLevel } from "#base/log.ts";
import { programCommit, programVersion } from "#base/version.ts";
import { type DaemonConfig, loadConfig } from "./config.ts";
import { daemonUsage, parseDaemonFlags } from "./flags.ts";
import { listenText, openListeners } from "./listeners.ts";
import { notifyReady } from "./notify.ts";
import { lockDataRoot, openEngine } from "./wiring.ts";

/** `skiff daemon`: serves until SIGTERM or SIGINT. @returns the exit code */
export async function runDaemon(argv: readonly string[]): Promise<number> {
  let config: DaemonConfig;
  try {
    const flags = parseDaemonFlags(argv);
    if (flags.help === true) {
      process.stdout.write(daemonUsage());
      return 0;
    }
    config = loadConfig(flags);
    if (flags.validate === true) {
      process.stdout.write("configuration OK\n");
      return 0;
    }
  } catch (error) {
    process.stderr.write(`skiff daemon: ${errorMessage(error)}\n`);
    return 1;
  }
  let level: LogLevel = config.logLevel;
  const write = (line: string) => process.stderr.write(line);
  // The level can change while the daemon runs (SIGHUP), so each line asks for it.
  const log: Logger = {
    debug: (message, fields) => createLogger(level, write).debug(message, fields),
    info: (message, fields) => createLogger(level, write).info(message, fields),
    warn: (message, fields) => createLogger(level, write).warn(message, fields),
    error: (message, fields) => createLogger(level, write).error(message, fields),
  };
  try {
    await serve(config, log, {
      debug: () => level === "debug",
      reload: () => {
        level = loadConfig(parseDaemonFlags(argv)).logLevel;
      },
    });
    return 0;
  } catch (error) {
    log.error("failed to start daemon", { error });
    process.stderr.write(`skiff daemon: failed to start: ${errorMessage(error)}\n`);
    return 1;
  }
}

async function serve(
  config: DaemonConfig,
  log: Logger,
  control: { debug: () => boolean; reload: () => void },
): Promise<void> {
  if (process.getuid?.() !== 0) throw new EngineError("denied", "daemon", "the daemon needs to run as root");
  for (const directory of [config.dataRoot, config.execRoot, join(config.dataRoot, "containers")])
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  using _lock = lockDataRoot(config.dataRoot);
  log.info("starting up", { version: programVersion, commit: programCommit, dataRoot: config.dataRoot });
  const engine = await openEngine(config, log, control.debug);
  const servers = await openListeners(config, engine.api).catch(async (error: unknown) => {
    await engine.stop();
    throw error;
  });
  if (config.pidFile !== undefined) writePidFile(config.pidFile);
  log.info("Daemon has completed initialization");
  for (const place of config.listen) log.info(`API listen on ${listenText(place)}`);
  notifyReady();
  const stopping = new Promise<string>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve(signal));
  });
  process.on("SIGHUP", () => {
    try {
      control.reload();
      log.info("configuration reloaded");
    } catch (error) {
      log.error("cannot reload the configuration; the old one stays", { error });
    }
  });
  void engine.containers.revive();
  log.info(`processing signal '${await stopping}': containers go on running`);
  for (const server of servers) server.close();
  engine.api.close();
  await engine.stop();
  for (const place of config.listen) if (place.kind === "unix") rmSync(place.path, { force: true });
  if (config.pidFile !== undefined) rmSync(config.pidFile, { force: true });
  log.info("Daemon shutdown complete");
}

/** @throws EngineError `conflict` when the file names a process that is alive */
function writePidFile(path: string): void {
  try {
    const pid = Number.parseInt(readFileSync(path, "utf8"), 10);
    if (pid > 0 && pid !== process.pid) {
      process.kill(pid, 0);
      throw new EngineError("conflict", path, `process with PID ${pid} is still running (${path})`);
    }
  } catch (error) {
    if (error instanceof EngineError) throw error;
    // no file, or its process is gone
  }
  writeFileSync(path, `${process.pid}\n`);
}
