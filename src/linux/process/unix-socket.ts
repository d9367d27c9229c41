/** Unix sockets of the kinds that Bun does not open itself: SEQPACKET, and descriptors passed by SCM_RIGHTS. @see unix(7) */
import { ptr, FFIType as T } from "bun:ffi";
import { closeSync, openSync, unlinkSync } from "node:fs";
import { basename, dirname } from "node:path";
import { check, errno, openLibc, SyscallError } from "../libc.ts";

const libc = openLibc({
  socket: { args: [T.i32, T.i32, T.i32], returns: T.i32 },
  connect: { args: [T.i32, T.ptr, T.u32], returns: T.i32 },
  bind: { args: [T.i32, T.ptr, T.u32], returns: T.i32 },
  listen: { args: [T.i32, T.i32], returns: T.i32 },
  accept4: { args: [T.i32, T.ptr, T.ptr, T.i32], returns: T.i32 },
  recvmsg: { args: [T.i32, T.ptr, T.i32], returns: T.i64 },
  shutdown: { args: [T.i32, T.i32], returns: T.i32 },
});

const afUnix = 1;
const sockStream = 1;
const sockSeqpacket = 5;
const sockCloexec = 0o2000000;
const sockNonblock = 0o4000;
const shutWrite = 1;
const msgCmsgCloexec = 0x40000000;
const solSocket = 1;
const scmRights = 1;
const oPathDirectory = 0o10000000 | 0o200000;
const addressBytes = 110;
/** sun_path without its NUL. */
const pathBytesMax = 107;

function socketAddress(path: string): Buffer {
  const address = Buffer.alloc(addressBytes);
  address.writeUInt16LE(afUnix, 0);
  if (Buffer.byteLength(path) > pathBytesMax)
    throw new Error(`socket path is longer than ${pathBytesMax} bytes: ${path}`);
  address.write(path, 2);
  return address;
}

/** Runs `use` with a path short enough for a socket address, whatever the real one's length. */
function withShortPath<R>(path: string, use: (short: string) => R): R {
  if (Buffer.byteLength(path) <= pathBytesMax) return use(path);
  const fd = openSync(dirname(path), oPathDirectory);
  try {
    return use(`/proc/self/fd/${fd}/${basename(path)}`);
  } finally {
    closeSync(fd);
  }
}

/** A connected, non-blocking SEQPACKET socket. @returns its descriptor @throws SyscallError */
export function connectSeqpacket(path: string): number {
  const fd = check(libc.socket(afUnix, sockSeqpacket | sockCloexec | sockNonblock, 0), "socket", path);
  try {
    withShortPath(path, (short) => {
      const address = socketAddress(short);
      check(libc.connect(fd, ptr(address), addressBytes), "connect", path);
    });
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Tells the other side that nothing more comes. */
export function shutdownWrite(fd: number): void {
  libc.shutdown(fd, shutWrite);
}

/** A listening socket through which a runtime hands over a terminal. Dispose it. */
export class DescriptorListener implements Disposable {
  readonly #fd: number;

  constructor(readonly path: string) {
    this.#fd = check(libc.socket(afUnix, sockStream | sockCloexec | sockNonblock, 0), "socket", path);
    withShortPath(path, (short) => {
      const address = socketAddress(short);
      check(libc.bind(this.#fd, ptr(address), addressBytes), "bind", path);
    });
    check(libc.listen(this.#fd, 1), "listen", path);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
    try {
      unlinkSync(this.path);
    } catch {
      // gone with its directory
    }
  }

  /** The descriptor that a peer has sent; null while none has come. */
  tryReceive(): number | null {
    const peer = libc.accept4(this.#fd, null, null, sockCloexec);
    if (peer < 0) {
      const failure = new SyscallError("accept4", errno(), this.path);
      if (failure.code === "EAGAIN") return null;
      throw failure;
    }
    try {
      return receiveDescriptor(peer);
    } finally {
      closeSync(peer);
    }
  }
}

/** One message of ordinary bytes and one descriptor. Layout of msghdr and cmsghdr: 64-bit Linux. */
function receiveDescriptor(fd: number): number {
  const data = Buffer.alloc(256);
  const control = Buffer.alloc(64);
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(BigInt(ptr(data)), 0);
  vector.writeBigUInt64LE(BigInt(data.byteLength), 8);
  const header = Buffer.alloc(56);
  header.writeBigUInt64LE(BigInt(ptr(vector)), 16);
  header.writeBigUInt64LE(1n, 24);
  header.writeBigUInt64LE(BigInt(ptr(control)), 32);
  header.writeBigUInt64LE(BigInt(control.byteLength), 40);
  check(libc.recvmsg(fd, ptr(header), msgCmsgCloexec), "recvmsg", "");
  const isDescriptor = control.readInt32LE(8) === solSocket && control.readInt32LE(12) === scmRights;
  if (!isDescriptor) throw new Error("the message on the console socket carries no descriptor");
  return control.readInt32LE(16);
}
