import { createReadStream, renameSync } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { EngineError } from "#base/errors.ts";
import { syncDirectory } from "#linux/fs/files.ts";
import { type Digest, isDigest } from "#spec/oci/digest.ts";
import type { BlobInfo, ContentStore, ExpectedBlob } from "./content.ts";

/** A manifest or config is at most 4 MiB in every registry. */
const smallBlobBytesMax = 4 << 20;

/** Opens the blob store below `root`, and removes what interrupted ingests left. */
export async function openContentStore(root: string): Promise<ContentStore> {
  const blobs = join(root, "blobs", "sha256");
  const temporary = join(root, "tmp");
  await rm(temporary, { recursive: true, force: true });
  await mkdir(blobs, { recursive: true, mode: 0o700 });
  await mkdir(temporary, { recursive: true, mode: 0o700 });
  return new LocalContent(blobs, temporary);
}

class LocalContent implements ContentStore {
  #ingests = 0;

  constructor(
    private readonly blobs: string,
    private readonly temporary: string,
  ) {}

  #path(digest: Digest): string {
    return join(this.blobs, digest.slice("sha256:".length));
  }

  async ingest(source: AsyncIterable<Uint8Array>, expected?: ExpectedBlob): Promise<BlobInfo> {
    if (expected !== undefined) {
      const present = await this.stat(expected.digest);
      if (present !== null) return present;
    }
    await using undo = new AsyncDisposableStack();
    const path = join(this.temporary, `ingest-${process.pid}-${this.#ingests++}`);
    undo.defer(() => rm(path, { force: true }));
    const blob = await writeHashed(path, source, expected);
    await rename(path, this.#path(blob.digest));
    undo.move();
    syncDirectory(this.blobs);
    return blob;
  }

  async stat(digest: Digest): Promise<BlobInfo | null> {
    try {
      return { digest, size: (await stat(this.#path(digest))).size };
    } catch (error) {
      if (isAbsent(error)) return null;
      throw error;
    }
  }

  async *stream(digest: Digest, offset = 0): AsyncGenerator<Uint8Array> {
    if ((await this.stat(digest)) === null) throw absent(digest);
    yield* createReadStream(this.#path(digest), { start: offset, highWaterMark: 1 << 18 });
  }

  async read(digest: Digest, maxBytes = smallBlobBytesMax): Promise<Uint8Array> {
    const info = await this.stat(digest);
    if (info === null) throw absent(digest);
    if (info.size > maxBytes)
      throw new EngineError("invalid", digest, `blob ${digest} has ${info.size} bytes, more than ${maxBytes}`);
    return readFile(this.#path(digest));
  }

  async remove(digest: Digest): Promise<void> {
    const grave = join(this.temporary, `removed-${process.pid}-${this.#ingests++}`);
    try {
      renameSync(this.#path(digest), grave);
    } catch (error) {
      if (isAbsent(error)) return;
      throw error;
    }
    await rm(grave, { force: true });
  }

  async *list(): AsyncGenerator<BlobInfo> {
    for (const name of await readdir(this.blobs)) {
      const digest = `sha256:${name}`;
      const info = isDigest(digest) ? await this.stat(digest) : null;
      if (info !== null) yield info;
    }
  }
}

async function writeHashed(
  path: string,
  source: AsyncIterable<Uint8Array>,
  expected: ExpectedBlob | undefined,
): Promise<BlobInfo> {
  await using file = await open(path, "wx", 0o600);
  const hash = new Bun.CryptoHasher("sha256");
  let size = 0;
  for await (const chunk of source) {
    size += chunk.byteLength;
    if (expected?.size !== undefined && size > expected.size) break;
    hash.update(chunk);
    await writeFully(file, chunk);
  }
  const digest = `sha256:${hash.digest("hex")}` as Digest;
  if (
    expected !== undefined &&
    (digest !== expected.digest || (expected.size !== undefined && size !== expected.size))
  ) {
    throw new EngineError(
      "corrupt",
      expected.digest,
      `blob ${expected.digest} came with ${size} bytes and digest ${digest}`,
    );
  }
  await file.sync();
  return { digest, size };
}

async function writeFully(
  file: { write(bytes: Uint8Array, offset: number): Promise<{ bytesWritten: number }> },
  chunk: Uint8Array,
): Promise<void> {
  for (let offset = 0; offset < chunk.byteLength; ) offset += (await file.write(chunk, offset)).bytesWritten;
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function absent(digest: Digest): EngineError {
  return new EngineError("not-found", digest, `content ${digest}: not found`);
}
