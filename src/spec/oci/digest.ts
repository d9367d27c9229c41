import { EngineError } from "#base/errors.ts";

declare const brand: unique symbol;

/** Digest of bytes as stored or sent (a blob, a manifest, a config): `sha256:` and 64 hex digits. */
export type Digest = `sha256:${string}` & { readonly [brand]: "Digest" };
/** Digest of a layer's uncompressed tar. */
export type DiffId = `sha256:${string}` & { readonly [brand]: "DiffId" };
/** Names a stack of layers: see {@link chainIds}. */
export type ChainId = `sha256:${string}` & { readonly [brand]: "ChainId" };

const shape = /^sha256:[0-9a-f]{64}$/;

export function isDigest(text: string): text is Digest {
  return shape.test(text);
}

/** @throws EngineError `invalid` */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new EngineError("invalid", text, `invalid digest "${text}": want sha256: and 64 lowercase hex digits`);
}

/** @throws EngineError `invalid` */
export function parseDiffId(text: string): DiffId {
  return parseDigest(text) as string as DiffId;
}

export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}` as Digest;
}

/**
 * The chain ID of each prefix of `diffIds`, bottom layer first.
 * @see OCI image-spec config.md, Layer ChainID
 */
export function chainIds(diffIds: readonly DiffId[]): ChainId[] {
  const chain: ChainId[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push((below === undefined ? diffId : digestOf(`${below} ${diffId}`)) as string as ChainId);
  }
  return chain;
}
