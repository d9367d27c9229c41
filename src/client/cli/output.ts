import { fstatSync, writeSync } from "node:fs";
import type { Output } from "./command.ts";

/** Writes all of it, waiting where the pipe is full; a reader that went away ends the program quietly, as SIGPIPE does. */
function writeAll(fd: number, bytes: Uint8Array): void {
  for (let offset = 0; offset < bytes.byteLength; ) {
    try {
      offset += writeSync(fd, bytes, offset);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : "";
      if (code === "EPIPE") process.exit(141);
      if (code !== "EAGAIN") throw error;
      Bun.sleepSync(1);
    }
  }
}

const stdoutFd = 1;
const stderrFd = 2;
/** Major number of /dev/null and its kin. @see Documentation/admin-guide/devices.txt */
const memoryDevices = 1;

/** Asked of the descriptor: `process.stdout` would load all of Node's streams, longer than most commands take. */
function isTerminal(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    const isNullOrAlike = (stat.rdev >> 8) % 4096 === memoryDevices;
    return stat.isCharacterDevice() && !isNullOrAlike && process.getBuiltinModule("node:tty").isatty(fd);
  } catch {
    return false; // a closed descriptor
  }
}

/** Rows and columns of the user's terminal, zeros without one. */
export function consoleSize(): [number, number] {
  return isTerminal(stdoutFd) ? [process.stdout.rows ?? 0, process.stdout.columns ?? 0] : [0, 0];
}

/** The user's terminal or pipe. */
export function standardOutput(): Output {
  return {
    line: (text) => writeAll(stdoutFd, Buffer.from(`${text}\n`)),
    async write(bytes) {
      writeAll(stdoutFd, typeof bytes === "string" ? Buffer.from(bytes) : bytes);
    },
    error: (text) => writeAll(stderrFd, Buffer.from(`${text}\n`)),
    get isTerminal() {
      return isTerminal(stdoutFd);
    },
    get columns() {
      return isTerminal(stdoutFd) ? (process.stdout.columns ?? 80) : 80;
    },
  };
}

/** Raw bytes to stdout or stderr, for a container's own output. */
export function writeRaw(stream: "stdout" | "stderr", bytes: Uint8Array): void {
  writeAll(stream === "stdout" ? stdoutFd : stderrFd, bytes);
}
