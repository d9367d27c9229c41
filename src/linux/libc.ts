import { dlopen, type FFIFunction, FFIType, read } from "bun:ffi";
import { constants } from "node:os";
import { encodeRawText } from "#base/raw-text.ts";

const errnoLocation = dlopen("libc.so.6", { __errno_location: { args: [], returns: FFIType.ptr } }).symbols
  .__errno_location;

const errnoNames = new Map<number, string>(Object.entries(constants.errno).map(([name, number]) => [number, name]));
// Two names for one number: the one that everybody writes.
errnoNames.set(constants.errno.EAGAIN, "EAGAIN");

/** A system call that failed: `code` is the kernel's name for it (`ENOENT`), as in Node's own errors. */
export class SyscallError extends Error {
  override readonly name = "SyscallError";
  readonly code: string;
  constructor(
    readonly syscall: string,
    readonly errno: number,
    subject: string,
  ) {
    const code = errnoNames.get(errno) ?? `errno ${errno}`;
    super(`${syscall} ${subject}: ${code}`);
    this.code = code;
  }
}

/** Symbols of the C library; each room asks for those it needs. */
export function openLibc<T extends Record<string, FFIFunction>>(symbols: T) {
  return dlopen("libc.so.6", symbols).symbols;
}

/** `errno` of the last failed call on this thread. Read it at once: nothing may run in between. */
export function errno(): number {
  const location = errnoLocation();
  if (location === null) throw new Error("__errno_location returned null");
  return read.i32(location, 0);
}

/** Returns `result` as a number, or throws the errno of a call that answered a negative one. */
export function check(result: number | bigint, syscall: string, subject: string): number {
  const value = Number(result);
  if (value < 0) throw new SyscallError(syscall, errno(), subject);
  return value;
}

/**
 * A NUL-terminated copy for `ptr()`; names that are no UTF-8 come from `decodeRawText`. Keep the buffer referenced until the call has returned.
 * @throws Error when the text itself holds a NUL, which would silently cut a path
 */
export function cString(text: string): Buffer {
  if (text.includes("\0")) throw new Error(`text holds a NUL byte: ${JSON.stringify(text)}`);
  return encodeRawText(`${text}\0`);
}
