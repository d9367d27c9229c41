import { ptr, FFIType as T } from "bun:ffi";
import { check, openLibc } from "../libc.ts";

const libc = openLibc({
  ioctl: { args: [T.i32, T.u64, T.ptr], returns: T.i32 },
  fcntl: { args: [T.i32, T.i32, T.i32], returns: T.i32 },
});

const tiocswinsz = 0x5414n;
const fGetfl = 3;
const fSetfl = 4;
const oNonblock = 0o4000;

/** Sets a terminal's size in characters. @see ioctl_tty(2), TIOCSWINSZ */
export function setTerminalSize(fd: number, width: number, height: number): void {
  const size = new Uint16Array([height, width, 0, 0]);
  check(libc.ioctl(fd, tiocswinsz, ptr(size)), "ioctl TIOCSWINSZ", "");
}

/** Makes reads and writes of a descriptor return at once. */
export function setNonBlocking(fd: number): void {
  check(libc.fcntl(fd, fSetfl, libc.fcntl(fd, fGetfl, 0) | oNonblock), "fcntl", "O_NONBLOCK");
}
