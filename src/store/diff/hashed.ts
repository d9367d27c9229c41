import type { Digest } from "#spec/oci/digest.ts";

/** Passes a stream on and hashes it on the way; `digest` is right once the stream has ended. */
export function hashed(source: AsyncIterable<Uint8Array>): {
  stream: AsyncIterable<Uint8Array>;
  digest: () => Digest;
  sizeBytes: () => number;
} {
  const hash = new Bun.CryptoHasher("sha256");
  let size = 0;
  let final: Digest | null = null;
  async function* stream() {
    for await (const chunk of source) {
      hash.update(chunk);
      size += chunk.byteLength;
      yield chunk;
    }
  }
  return {
    stream: stream(),
    digest: () => {
      final ??= `sha256:${hash.digest("hex")}` as Digest;
      return final;
    },
    sizeBytes: () => size,
  };
}
