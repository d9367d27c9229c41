import { readFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError } from "#base/errors.ts";
import { tryLock } from "#linux/fs/files.ts";

/** One daemon a data-root. The kernel lets go of the lock however the daemon ends. @throws EngineError `conflict` */
export function lockDataRoot(dataRoot: string): Disposable {
  const path = join(dataRoot, "daemon.lock");
  const lock = tryLock(path, String(process.pid));
  if (lock !== null) return lock;
  const pid = readFileSync(path, "utf8").trim();
  throw new EngineError("conflict", dataRoot, `another daemon (pid ${pid}) uses the data-root ${dataRoot}`);
}
