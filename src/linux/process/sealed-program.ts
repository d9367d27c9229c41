/** Programs that nothing can change any more. @see memfd_create(2), fcntl(2) "File Sealing" */
import { ptr, FFIType as T } from "bun:ffi";
import { closeSync, readFileSync, writeSync } from "node:fs";
import { basename } from "node:path";
import { check, cString, openLibc } from "../libc.ts";

const libc = openLibc({
  memfd_create: { args: [T.ptr, T.u32], returns: T.i32 },
  fcntl: { args: [T.i32, T.i32, T.i32], returns: T.i32 },
});

const cloexecAllowSealing = 1 | 2;
const fAddSeals = 1033;
const sealShrinkGrowWrite = 1 | 2 | 4 | 8;

/**
 * A sealed copy of a program in memory. crun and runc make themselves one at every call, so that no container can write to
 * the program by /proc/PID/exe (CVE-2019-5736), and start a second time from it; from this one they start once.
 * @returns a path that any process of the host can execute while this one lives and holds the copy
 * @throws SyscallError where the kernel refuses executable memory files (vm.memfd_noexec=2)
 */
export class SealedProgram implements Disposable {
  readonly #fd: number;

  constructor(path: string) {
    const name = cString(basename(path));
    this.#fd = check(libc.memfd_create(ptr(name), cloexecAllowSealing), "memfd_create", path);
    try {
      const bytes = readFileSync(path);
      for (let offset = 0; offset < bytes.byteLength; ) offset += writeSync(this.#fd, bytes, offset);
      check(libc.fcntl(this.#fd, fAddSeals, sealShrinkGrowWrite), "fcntl", "F_ADD_SEALS");
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  get path(): string {
    return `/proc/${process.pid}/fd/${this.#fd}`;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
