import { existsSync, renameSync, rmSync, statSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { parseRecord } from "./record.ts";

const lineFeed = 0x0a;
const blockBytes = 64 * 1024;
/** Nobody keeps more rotated files; the search for them ends here. */
const filesMax = 1000;

/** The current file and its rotated predecessors that exist, oldest first. */
export function logFiles(path: string): string[] {
  const files = existsSync(path) ? [path] : [];
  for (let number = 1; number < filesMax && existsSync(`${path}.${number}`); number++)
    files.unshift(`${path}.${number}`);
  return files;
}

/** Moves every file one number on and drops what is beyond `maxFiles`. The current path is free then. */
export function rotate(path: string, maxFiles: number): void {
  const rotated = logFiles(path).filter((file) => file !== path).length;
  for (let number = rotated; number >= 1; number--) {
    if (number + 1 >= maxFiles) rmSync(`${path}.${number}`, { force: true });
    else renameSync(`${path}.${number}`, `${path}.${number + 1}`);
  }
  if (maxFiles > 1) renameSync(path, `${path}.1`);
  else rmSync(path, { force: true });
}

/** What names a file whatever its path: readers follow it through rotation. */
export function fileIdentity(path: string): string | null {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return null;
  }
}

/**
 * Looks from the end of a file for the place where its last `count` lines begin; reads no more than it must.
 * @param wanted whether a record's stream was asked for
 * @returns the offset, and how many lines are still missing when the file has fewer
 */
export async function offsetOfLastLines(
  file: FileHandle,
  count: number,
  wanted: (kind: "stdout" | "stderr") => boolean,
): Promise<{ offset: number; missing: number }> {
  let end = (await file.stat()).size;
  let missing = count;
  let offset = end;
  /** Start of a line whose beginning lies in an earlier block. */
  let carry: Buffer = Buffer.alloc(0);
  while (end > 0) {
    const start = Math.max(0, end - blockBytes);
    const block = Buffer.alloc(end - start);
    await file.read(block, 0, block.byteLength, start);
    const joined = Buffer.concat([block, carry]);
    let lineEnd = joined.byteLength;
    while (lineEnd > 0) {
      const before = joined.lastIndexOf(lineFeed, lineEnd - 2);
      if (before < 0 && start > 0) break;
      const lineStart = before + 1;
      const record = parseRecord(joined, lineStart, lineEnd);
      if (record !== null && wanted(record.kind) && record.full) {
        if (missing === 0) return { offset, missing };
        missing--;
      }
      offset = start + lineStart;
      lineEnd = lineStart;
    }
    carry = Buffer.from(joined.subarray(0, lineEnd));
    end = start;
  }
  return { offset, missing };
}
