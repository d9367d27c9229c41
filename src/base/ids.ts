import { randomBytes } from "node:crypto";

/** A new 64-digit lowercase hex id, as Docker gives to containers, networks and execs. */
export function newId(): string {
  // An id whose first 12 digits are all decimal could be read as a number by tools; Docker skips these too.
  for (;;) {
    const id = randomBytes(32).toString("hex");
    if (!/^\d{12}/.test(id)) return id;
  }
}

/** The 12-digit form that tables show. */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, "").slice(0, 12);
}

/** Eight hex digits that name `text` (a data-root, say) wherever the kernel allows only short names. */
export function shortHash(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex").slice(0, 8);
}
