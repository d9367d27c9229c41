import { dlopen, ptr, FFIType as T } from "bun:ffi";

/** Larger than struct termios anywhere on Linux. */
const termiosBytes = 128;
const stdinFd = 0;
const now = 0;

/**
 * Puts the user's terminal into raw mode, all of it: every key goes to the container, and its output comes through
 * untouched. (Node's own raw mode goes on turning line feeds into two characters.) Given back on dispose. @see termios(3)
 */
export function rawTerminal(): Disposable {
  const libc = dlopen("libc.so.6", {
    tcgetattr: { args: [T.i32, T.ptr], returns: T.i32 },
    tcsetattr: { args: [T.i32, T.i32, T.ptr], returns: T.i32 },
    cfmakeraw: { args: [T.ptr], returns: T.void },
  }).symbols;
  const before = Buffer.alloc(termiosBytes);
  if (libc.tcgetattr(stdinFd, ptr(before)) !== 0) return { [Symbol.dispose]() {} };
  const raw = Buffer.from(before);
  libc.cfmakeraw(ptr(raw));
  libc.tcsetattr(stdinFd, now, ptr(raw));
  return {
    [Symbol.dispose]() {
      libc.tcsetattr(stdinFd, now, ptr(before));
    },
  };
}
