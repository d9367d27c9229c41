/** rtnetlink: links, addresses and routes in a few system calls. @see netlink(7), rtnetlink(7) */
import { ptr, FFIType as T } from "bun:ffi";
import { closeSync } from "node:fs";
import { constants } from "node:os";
import { check, openLibc, SyscallError } from "../libc.ts";

const libc = openLibc({
  socket: { args: [T.i32, T.i32, T.i32], returns: T.i32 },
  send: { args: [T.i32, T.ptr, T.u64, T.i32], returns: T.i64 },
  recv: { args: [T.i32, T.ptr, T.u64, T.i32], returns: T.i64 },
});

const afNetlink = 16;
const sockRawCloexec = 3 | 0o2000000;
const headerBytes = 16;
const nlmsgError = 2;
const nlmsgDone = 3;

const flag = { request: 1, ack: 4, dump: 0x300, create: 0x400, excl: 0x200 } as const;
const rtm = { newlink: 16, dellink: 17, getlink: 18, newaddr: 20, getaddr: 22, newroute: 24, getroute: 26 } as const;
const ifla = { address: 1, ifname: 3, mtu: 4, master: 10, linkinfo: 18, netNsFd: 28 } as const;
const iflaInfo = { kind: 1, data: 2 } as const;
const vethPeer = 1;
const ifa = { address: 1, local: 2 } as const;
const rta = { dst: 1, oif: 4, gateway: 5 } as const;
export const linkUp = 1;
const afInet = 2;

export interface Link {
  readonly index: number;
  readonly name: string;
}

function bytesOf(values: readonly (number | Uint8Array)[]): Buffer {
  return Buffer.concat(values.map((value) => (typeof value === "number" ? Buffer.from([value]) : value)));
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

function attribute(type: number, ...data: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(data);
  const bytes = Buffer.alloc((4 + body.byteLength + 3) & ~3);
  bytes.writeUInt16LE(4 + body.byteLength, 0);
  bytes.writeUInt16LE(type, 2);
  body.copy(bytes, 4);
  return bytes;
}

const textAttribute = (type: number, text: string) => attribute(type, Buffer.from(`${text}\0`));

/** struct ifinfomsg */
function linkHeader(index: number, flags = 0, change = 0): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt32LE(flags, 8);
  bytes.writeUInt32LE(change, 12);
  return bytes;
}

function message(type: number, flags: number, ...body: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(headerBytes), ...body]);
  bytes.writeUInt32LE(bytes.byteLength, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags | flag.request, 6);
  return bytes;
}

/** "172.17.0.2" as its four bytes. */
export function ipv4Bytes(address: string): Buffer {
  return Buffer.from(address.split(".").map(Number));
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.split(":").map((part) => Number.parseInt(part, 16)));
}

/** Requests of one transaction; nothing is sent before {@link Netlink.run}. */
export const request = {
  /** A veth pair: `name` here, up and on the bridge `master`; `peer` in the network namespace behind `netnsFd`. */
  createVeth(options: {
    name: string;
    master: number;
    mtu: number;
    peer: string;
    peerMac: string;
    netnsFd: number;
  }): Buffer {
    const peer = Buffer.concat([
      linkHeader(0),
      textAttribute(ifla.ifname, options.peer),
      attribute(ifla.mtu, u32(options.mtu)),
      attribute(ifla.address, macBytes(options.peerMac)),
      attribute(ifla.netNsFd, u32(options.netnsFd)),
    ]);
    const info = attribute(
      ifla.linkinfo,
      textAttribute(iflaInfo.kind, "veth"),
      attribute(iflaInfo.data, attribute(vethPeer, peer)),
    );
    return message(
      rtm.newlink,
      flag.ack | flag.create | flag.excl,
      linkHeader(0, linkUp, linkUp),
      textAttribute(ifla.ifname, options.name),
      attribute(ifla.mtu, u32(options.mtu)),
      attribute(ifla.master, u32(options.master)),
      info,
    );
  },
  /** A bridge, up. Its MAC is fixed: a changing one (the lowest of its ports) leaves neighbours with a stale entry. */
  createBridge(name: string, mtu: number, mac: string): Buffer {
    return message(
      rtm.newlink,
      flag.ack | flag.create | flag.excl,
      linkHeader(0, linkUp, linkUp),
      textAttribute(ifla.ifname, name),
      attribute(ifla.mtu, u32(mtu)),
      attribute(ifla.address, macBytes(mac)),
      attribute(ifla.linkinfo, textAttribute(iflaInfo.kind, "bridge")),
    );
  },
  setUp(index: number): Buffer {
    return message(rtm.newlink, flag.ack, linkHeader(index, linkUp, linkUp));
  },
  deleteLink(name: string): Buffer {
    return message(rtm.dellink, flag.ack, linkHeader(0), textAttribute(ifla.ifname, name));
  },
  addAddress(index: number, address: string, prefixLength: number): Buffer {
    const header = Buffer.alloc(8);
    header[0] = afInet;
    header[1] = prefixLength;
    header.writeUInt32LE(index, 4);
    const bytes = ipv4Bytes(address);
    return message(
      rtm.newaddr,
      flag.ack | flag.create | flag.excl,
      header,
      attribute(ifa.local, bytes),
      attribute(ifa.address, bytes),
    );
  },
  /** The default route: main table, protocol boot, scope universe, unicast. */
  addDefaultRoute(index: number, gateway: string): Buffer {
    const header = bytesOf([afInet, 0, 0, 0, 254, 3, 0, 1, u32(0)]);
    return message(
      rtm.newroute,
      flag.ack | flag.create | flag.excl,
      header,
      attribute(rta.gateway, ipv4Bytes(gateway)),
      attribute(rta.oif, u32(index)),
    );
  },
};

/** One rtnetlink socket; it belongs to the network namespace in which it was opened. Dispose it. */
export class Netlink implements Disposable {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(65_536);
  #sequence = 1;

  constructor() {
    this.#fd = check(libc.socket(afNetlink, sockRawCloexec, 0), "socket", "netlink");
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #send(messages: readonly Buffer[]): void {
    for (const bytes of messages) bytes.writeUInt32LE(this.#sequence++, 8);
    const all = messages.length === 1 ? (messages[0] ?? Buffer.alloc(0)) : Buffer.concat(messages);
    check(libc.send(this.#fd, ptr(all), all.byteLength, 0), "send", "netlink");
  }

  /** Messages of one datagram: type and body. */
  #receive(): { type: number; body: Buffer }[] {
    const length = check(libc.recv(this.#fd, ptr(this.#buffer), this.#buffer.byteLength, 0), "recv", "netlink");
    const found: { type: number; body: Buffer }[] = [];
    for (let offset = 0; offset < length; ) {
      const size = this.#buffer.readUInt32LE(offset);
      found.push({
        type: this.#buffer.readUInt16LE(offset + 4),
        body: Buffer.from(this.#buffer.subarray(offset + headerBytes, offset + size)),
      });
      offset += (size + 3) & ~3;
    }
    return found;
  }

  /** Sends requests in one go and waits for all to be acknowledged. @throws SyscallError of the first that failed */
  run(requests: readonly Buffer[], subject: string): void {
    this.#send(requests);
    let failed: SyscallError | null = null;
    for (let acknowledged = 0; acknowledged < requests.length; ) {
      for (const { type, body } of this.#receive()) {
        if (type !== nlmsgError) continue;
        acknowledged++;
        const error = body.readInt32LE(0);
        if (error !== 0) failed ??= new SyscallError("rtnetlink", -error, subject);
      }
    }
    if (failed !== null) throw failed;
  }

  #dump(type: number, header: Buffer): Buffer[] {
    this.#send([message(type, flag.dump, header)]);
    const bodies: Buffer[] = [];
    for (;;) {
      for (const { type: answer, body } of this.#receive()) {
        if (answer === nlmsgDone) return bodies;
        if (answer === nlmsgError) throw new SyscallError("rtnetlink dump", -body.readInt32LE(0), "");
        bodies.push(body);
      }
    }
  }

  links(): Link[] {
    return this.#dump(rtm.getlink, linkHeader(0)).map((body) => ({
      index: body.readInt32LE(4),
      name: textOf(attributes(body.subarray(16)).get(ifla.ifname)),
    }));
  }

  /** Index of a link; null when there is none of that name. */
  linkIndex(name: string): number | null {
    this.#send([message(rtm.getlink, 0, linkHeader(0), textAttribute(ifla.ifname, name))]);
    const [answer] = this.#receive();
    if (answer === undefined) return null;
    if (answer.type !== nlmsgError) return answer.body.readInt32LE(4);
    const number = -answer.body.readInt32LE(0);
    if (number === constants.errno.ENODEV) return null;
    throw new SyscallError("rtnetlink", number, name);
  }

  /** IPv4 networks that the host has an address in or a route to, as `address/prefix`; the default route left out. */
  ipv4Networks(): string[] {
    const header = Buffer.alloc(12);
    header[0] = afInet;
    const routes = this.#dump(rtm.getroute, header)
      .filter((body) => body[0] === afInet && (body[1] ?? 0) > 0)
      .map((body) => `${ipv4Text(attributes(body.subarray(12)).get(rta.dst))}/${body[1]}`);
    return [...routes, ...this.ipv4Addresses().map(({ address, prefixLength }) => `${address}/${prefixLength}`)];
  }

  ipv4Addresses(): { index: number; address: string; prefixLength: number }[] {
    const header = Buffer.alloc(8);
    header[0] = afInet;
    return this.#dump(rtm.getaddr, header)
      .filter((body) => body[0] === afInet)
      .map((body) => ({
        index: body.readUInt32LE(4),
        address: ipv4Text(attributes(body.subarray(8)).get(ifa.local)),
        prefixLength: body[1] ?? 0,
      }));
  }
}

function attributes(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let offset = 0; offset + 4 <= bytes.byteLength; ) {
    const size = bytes.readUInt16LE(offset);
    if (size < 4) break;
    found.set(bytes.readUInt16LE(offset + 2) & 0x3fff, bytes.subarray(offset + 4, offset + size));
    offset += (size + 3) & ~3;
  }
  return found;
}

function textOf(bytes: Buffer | undefined): string {
  return bytes === undefined ? "" : bytes.toString("utf8").replace(/\0.*$/s, "");
}

function ipv4Text(bytes: Buffer | undefined): string {
  return bytes === undefined ? "0.0.0.0" : [...bytes].join(".");
}
