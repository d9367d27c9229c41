/**
 * mount(2) and its newer relatives by their own names, without util-linux: `mount(8)` of Debian 12 makes loop devices
 * where the kernel needs none. @see mount(2), fsopen(2), Documentation/filesystems/overlayfs.rst
 */
import { ptr, FFIType as T } from "bun:ffi";
import { readFileSync } from "node:fs";
import { check, cString, errno, openLibc, SyscallError } from "../libc.ts";

const libc = openLibc({
  mount: { args: [T.ptr, T.ptr, T.ptr, T.u64, T.ptr], returns: T.i32 },
  umount2: { args: [T.ptr, T.i32], returns: T.i32 },
  syscall: { args: [T.i64, T.i64, T.i64, T.i64, T.i64, T.i64], returns: T.i64 },
  close: { args: [T.i32], returns: T.i32 },
});

export const mountFlag = {
  rdonly: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  remount: 32,
  bind: 4096,
  rec: 16384,
  unbindable: 1 << 17,
  private: 1 << 18,
  slave: 1 << 19,
  shared: 1 << 20,
} as const;

const umountDetach = 2;
/** umount(2) does not follow a symbolic link in the last component. */
const umountNoFollow = 8;

/** Numbers of the new mount calls; the same on every architecture. */
const sysMoveMount = 429;
const sysFsopen = 430;
const sysFsconfig = 431;
const sysFsmount = 432;
const sysFspick = 433;
const fsconfigSetFlag = 0;
const fsconfigSetString = 1;
const fsconfigCreate = 6;
const fsconfigReconfigure = 7;
const atFdcwd = -100;
const moveMountFromEmptyPath = 4;
/** mount(2) takes at most a page of options. */
const optionBytesMax = 4095;

/** mount(2). @throws SyscallError */
export function mount(source: string, target: string, type: string, flags: number, data: string): void {
  const [s, t, f, d] = [cString(source), cString(target), cString(type), cString(data)];
  check(libc.mount(ptr(s), ptr(t), ptr(f), flags, ptr(d)), "mount", `${type} on ${target}`);
}

function call(number: number, what: string, ...args: (number | bigint)[]): number {
  const [a = 0n, b = 0n, c = 0n, d = 0n, e = 0n] = args.map((value) => BigInt(value));
  return check(libc.syscall(BigInt(number), a, b, c, d, e), what, "");
}

const address = (bytes: Buffer): bigint => BigInt(ptr(bytes));

/**
 * Mounts an overlay. Long stacks go through fsconfig's `lowerdir+`, a layer a call, where the kernel has it (6.7);
 * others must fit mount(2)'s page.
 * @param lower directories, topmost first; none of them may hold a colon or a comma when mount(2) has to take them
 * @throws SyscallError
 */
export function mountOverlay(target: string, lower: readonly string[], upper: string, work: string): void {
  const data = `lowerdir=${lower.join(":")},upperdir=${upper},workdir=${work}`;
  const plain = Buffer.byteLength(data) <= optionBytesMax && !/[:,\\]/.test(lower.join("") + upper + work);
  if (plain) {
    mount("overlay", target, "overlay", 0, data);
    return;
  }
  const type = cString("overlay");
  const context = call(sysFsopen, "fsopen", address(type), 1);
  try {
    const set = (key: string, value: string) => {
      const [k, v] = [cString(key), cString(value)];
      call(sysFsconfig, `fsconfig ${key}`, context, fsconfigSetString, address(k), address(v), 0);
    };
    set("source", "overlay");
    for (const directory of lower) set("lowerdir+", directory);
    set("upperdir", upper);
    set("workdir", work);
    call(sysFsconfig, "fsconfig create", context, fsconfigCreate, 0, 0, 0);
    const detached = call(sysFsmount, "fsmount", context, 1, 0);
    try {
      moveMount(detached, target);
    } finally {
      libc.close(detached);
    }
  } finally {
    libc.close(context);
  }
}

function moveMount(detached: number, target: string): void {
  const [empty, to] = [cString(""), cString(target)];
  call(sysMoveMount, `move_mount to ${target}`, detached, address(empty), atFdcwd, address(to), moveMountFromEmptyPath);
}

/** Mounts a file as a read-only EROFS, without a loop device. @throws SyscallError */
export function mountErofs(file: string, target: string): void {
  const type = cString("erofs");
  const context = call(sysFsopen, "fsopen", address(type), 1);
  try {
    const [key, value, ro] = [cString("source"), cString(file), cString("ro")];
    call(sysFsconfig, "fsconfig source", context, fsconfigSetString, address(key), address(value), 0);
    call(sysFsconfig, "fsconfig ro", context, fsconfigSetFlag, address(ro), 0, 0);
    call(sysFsconfig, "fsconfig create", context, fsconfigCreate, 0, 0, 0);
    const detached = call(sysFsmount, "fsmount", context, 1, mountFlag.rdonly);
    try {
      moveMount(detached, target);
    } finally {
      libc.close(detached);
    }
  } finally {
    libc.close(context);
  }
}

/** A bind mount, read-only by a second call where asked. @throws SyscallError */
export function bindMount(
  source: string,
  target: string,
  options: { recursive?: boolean; readOnly?: boolean } = {},
): void {
  const recursive = options.recursive === true ? mountFlag.rec : 0;
  mount(source, target, "none", mountFlag.bind | recursive, "");
  if (options.readOnly === true)
    mount("none", target, "none", mountFlag.bind | mountFlag.remount | mountFlag.rdonly, "");
}

/** Gives a mounted file system new options without a value; those it has must be named again. @throws SyscallError */
export function reconfigure(target: string, flags: readonly string[]): void {
  const path = cString(target);
  const context = call(sysFspick, `fspick ${target}`, atFdcwd, address(path), 1);
  try {
    for (const flag of flags) {
      const key = cString(flag);
      call(sysFsconfig, `fsconfig ${flag}`, context, fsconfigSetFlag, address(key), 0, 0);
    }
    call(sysFsconfig, `fsconfig reconfigure ${target}`, context, fsconfigReconfigure, 0, 0, 0);
  } finally {
    libc.close(context);
  }
}

/** Takes the topmost mount at `target` away, at once or when its last user is gone. @returns false when nothing was mounted there */
export function unmount(target: string): boolean {
  const path = cString(target);
  if (libc.umount2(ptr(path), umountDetach | umountNoFollow) === 0) return true;
  const number = errno();
  const failure = new SyscallError("umount2", number, target);
  if (failure.code === "EINVAL" || failure.code === "ENOENT") return false;
  throw failure;
}

/** Mount points of this process at or below `prefix`, deepest last. @see proc(5), mountinfo */
export function mountsBelow(prefix: string): string[] {
  const decodeOctal = (text: string) =>
    text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => decodeOctal(line.split(" ")[4] ?? ""))
    .filter((path) => path === prefix || path.startsWith(`${prefix}/`));
}

/** Unmounts everything at or below `prefix`. */
export function unmountAllBelow(prefix: string): void {
  for (const path of mountsBelow(prefix).reverse()) unmount(path);
}
