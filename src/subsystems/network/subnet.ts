/** IPv4 networks as numbers. Pure. */

export interface Subnet {
  /** First address, as a number. */
  readonly base: number;
  readonly prefixLength: number;
}

/** "172.17.0.2" as a number; null when it is none. */
export function parseIpv4(text: string): number | null {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255)) return null;
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function ipv4Text(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}

export function addressCount(subnet: Subnet): number {
  return 2 ** (32 - subnet.prefixLength);
}

/** "172.17.0.1/16": the network it lies in, and the address itself. null when it is none. */
export function parseCidr(text: string): { subnet: Subnet; address: number } | null {
  const [addressPart = "", prefixPart = ""] = text.split("/");
  const address = parseIpv4(addressPart);
  const prefixLength = /^\d{1,2}$/.test(prefixPart) ? Number(prefixPart) : -1;
  if (address === null || prefixLength < 0 || prefixLength > 32) return null;
  const size = 2 ** (32 - prefixLength);
  return { subnet: { base: Math.floor(address / size) * size, prefixLength }, address };
}

export function subnetText(subnet: Subnet): string {
  return `${ipv4Text(subnet.base)}/${subnet.prefixLength}`;
}

export function overlaps(a: Subnet, b: Subnet): boolean {
  return a.base < b.base + addressCount(b) && b.base < a.base + addressCount(a);
}

export function contains(subnet: Subnet, address: number): boolean {
  return address >= subnet.base && address < subnet.base + addressCount(subnet);
}

/** Docker's pools for networks without a subnet of their own, the default bridge's first. */
export function* candidateSubnets(): Generator<Subnet> {
  for (let second = 17; second <= 31; second++) yield { base: ((172 * 256 + second) << 16) >>> 0, prefixLength: 16 };
  for (let third = 0; third < 256; third += 16)
    yield { base: ((192 * 256 + 168) * 65_536 + third * 256) >>> 0, prefixLength: 20 };
}

/** The MAC that Docker derives from an address: 02:42 and the four bytes. */
export function macOf(address: number): string {
  const bytes = [2, 66, ...[24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256)];
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** Gives out the addresses of one subnet, each anew only when all others were used: a late packet finds nobody new. */
export class AddressPool {
  readonly #used = new Map<number, string>();
  #last: number;

  constructor(
    readonly subnet: Subnet,
    readonly gateway: number,
  ) {
    this.#last = subnet.base;
    this.#used.set(gateway, "gateway");
  }

  /** @returns null when none is free */
  take(owner: string): number | null {
    const first = this.subnet.base + 1;
    const count = addressCount(this.subnet) - 2;
    for (let step = 0; step < count; step++) {
      const address = first + ((this.#last - first + 1 + step) % count);
      if (this.#used.has(address)) continue;
      this.#used.set(address, owner);
      this.#last = address;
      return address;
    }
    return null;
  }

  /** Notes an address that is in use already. */
  reserve(address: number, owner: string): void {
    this.#used.set(address, owner);
  }

  release(owner: string): void {
    for (const [address, user] of this.#used) if (user === owner) this.#used.delete(address);
  }
}
