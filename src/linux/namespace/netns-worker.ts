/**
 * The one thread that leaves the host's network namespace. Between `unshare` and the `setns` back it makes system calls
 * only: a thread that Bun starts meanwhile would be born in the wrong namespace.
 */
import { FFIType as T } from "bun:ffi";
import { closeSync, openSync, rmSync } from "node:fs";
import { errorMessage } from "#base/errors.ts";
import { check, openLibc } from "../libc.ts";
import { mount, mountFlag, unmount } from "../mount/mount.ts";
import { Netlink, request } from "../netlink/netlink.ts";
import type { NetnsAnswer, NetnsCall, NetnsLink } from "./namespace.ts";

const libc = openLibc({
  unshare: { args: [T.i32], returns: T.i32 },
  setns: { args: [T.i32, T.i32], returns: T.i32 },
});

const cloneNewnet = 0x40000000;
const ownNamespace = "/proc/thread-self/ns/net";
const home = openSync(ownNamespace, "r");
const host = new Netlink();
const loopbackIndex = 1;

/** A new namespace, held by a bind mount at `path`. @returns a netlink socket inside it */
function createNamespace(path: string): Netlink {
  closeSync(openSync(path, "wx", 0o444));
  check(libc.unshare(cloneNewnet), "unshare", path);
  try {
    mount(ownNamespace, path, "none", mountFlag.bind, "");
    return new Netlink();
  } finally {
    check(libc.setns(home, cloneNewnet), "setns", "the host's network namespace");
  }
}

function connect(inside: Netlink, path: string, link: NetnsLink): void {
  const netnsFd = openSync(path, "r");
  try {
    host.run([request.createVeth({ ...link, netnsFd })], link.name);
  } finally {
    closeSync(netnsFd);
  }
  const index = inside.linkIndex(link.peer);
  if (index === null) throw new Error(`link ${link.peer} is not in its namespace`);
  inside.run(
    [
      request.setUp(loopbackIndex),
      request.addAddress(index, link.address, link.prefixLength),
      request.setUp(index),
      request.addDefaultRoute(index, link.gateway),
    ],
    link.peer,
  );
}

function open(path: string, link: NetnsLink | null): void {
  using inside = createNamespace(path);
  if (link === null) inside.run([request.setUp(loopbackIndex)], "lo");
  else connect(inside, path, link);
}

/** The kernel takes the veth pair away with the namespace; deleting it by name would block for long. */
function close(path: string): void {
  unmount(path);
  rmSync(path, { force: true });
}

declare const self: Worker;

self.onmessage = (event: MessageEvent<NetnsCall>) => {
  const call = event.data;
  const answer = (error: string | null) => self.postMessage({ number: call.number, error } satisfies NetnsAnswer);
  try {
    if (call.do === "open") open(call.path, call.link);
    else close(call.path);
    answer(null);
  } catch (error) {
    if (call.do === "open") {
      try {
        close(call.path);
      } catch {
        // the first failure is the one to tell
      }
    }
    answer(errorMessage(error));
  }
};
