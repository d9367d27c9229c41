import { ptr, FFIType as T } from "bun:ffi";
import { readFileSync } from "node:fs";
import { check, openLibc } from "../libc.ts";

const libc = openLibc({
  pipe2: { args: [T.ptr, T.i32], returns: T.i32 },
  fcntl: { args: [T.i32, T.i32, T.i32], returns: T.i32 },
});

const oCloexec = 0o2000000;
const oNonblock = 0o4000;
const fSetfl = 4;

/**
 * A pipe whose ends are close-on-exec.
 * @param reader who reads: for `us` the end does not block, as Bun's streams want it; a `child` expects one that does
 */
export function makePipe(reader: "us" | "child"): { readFd: number; writeFd: number } {
  const fds = new Int32Array(2);
  check(libc.pipe2(ptr(fds), oCloexec), "pipe2", "");
  const [readFd = -1, writeFd = -1] = fds;
  if (reader === "us") check(libc.fcntl(readFd, fSetfl, oNonblock), "fcntl", "O_NONBLOCK");
  return { readFd, writeFd };
}

/** Whether a process is there and not a zombie. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}

/** The words of a process's command line; empty when it is gone. */
export function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  } catch {
    return [];
  }
}

/** Sends a signal. @returns false when the process is gone */
export function sendSignal(pid: number, signal: number): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
    throw error;
  }
}
