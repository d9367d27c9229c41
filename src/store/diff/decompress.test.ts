import { describe, expect, test } from "bun:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { decompress } from "./decompress.ts";

const data = Buffer.from(Array.from({ length: 700_000 }, (_, index) => (index * index) % 251));

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.byteLength; offset += size) yield bytes.subarray(offset, offset + size);
}

async function inflated(bytes: Uint8Array, size = 65_536, bytesMax?: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of decompress(pieces(bytes, size), bytesMax)) parts.push(Uint8Array.from(part));
  return Buffer.concat(parts);
}

test("what is not compressed passes as it is, however short", async () => {
  for (const bytes of [Buffer.alloc(0), Buffer.from([0x1f]), Buffer.from([0x28, 0xb5]), data])
    expect((await inflated(bytes, 1 + (bytes.byteLength >> 3))).equals(bytes)).toBe(true);
});

const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
for (const [kind, encode] of [
  ["gzip", gzipSync],
  ["zstd", zstdCompressSync],
] as const) {
  describe(kind, () => {
    const whole = encode(data);
    test("whole, in pieces of any size", async () => {
      for (const size of [3, 1000, whole.byteLength]) expect((await inflated(whole, size)).equals(data)).toBe(true);
    });
    test("several members or frames one after another", async () => {
      expect((await inflated(Buffer.concat([whole, whole]))).equals(Buffer.concat([data, data]))).toBe(true);
    });
    test("cut off anywhere", async () => {
      for (const size of [5, 100, whole.byteLength >> 1, whole.byteLength - 1])
        await expect(inflated(whole.subarray(0, size))).rejects.toThrow(`${kind}: unexpected EOF`);
    });
    test("a bomb is stopped", async () => {
      await expect(inflated(encode(Buffer.alloc(50 << 20)), 65_536, 1 << 20)).rejects.toThrow(
        "larger than 1048576 bytes",
      );
    });
    test("a reader that stops early ends the source", async () => {
      let ended = false;
      async function* source() {
        try {
          for (;;) yield whole;
        } finally {
          ended = true;
        }
      }
      for await (const _ of decompress(source())) break;
      await Bun.sleep(20);
      expect(ended).toBe(true);
    });
    test("an error of the source comes through", async () => {
      async function* source() {
        yield whole.subarray(0, 50);
        throw new Error("the client went away");
      }
      const read = async () => {
        for await (const _ of decompress(source())) void _;
      };
      await expect(read()).rejects.toThrow("the client went away");
    });
  });
}

test("zstd frames to skip are skipped; junk after the end is damage", async () => {
  const whole = zstdCompressSync(data);
  expect((await inflated(Buffer.concat([whole, skippable, whole, skippable]))).byteLength).toBe(2 * data.byteLength);
  await expect(inflated(Buffer.concat([whole, Buffer.from("junk")]))).rejects.toThrow("zstd: ");
});
