import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";

/** Bytes of the files below a directory, each inode once. Entries that vanish meanwhile count nothing. */
export async function directoryUsage(root: string): Promise<number> {
  const seen = new Set<string>();
  let bytes = 0;
  const pending = [root];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    for (const entry of await readdir(directory, { withFileTypes: true }).catch(() => [])) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) pending.push(path);
      const stat = entry.isFile() || entry.isSymbolicLink() ? await lstat(path).catch(() => null) : null;
      if (stat === null) continue;
      const inode = `${stat.dev}:${stat.ino}`;
      if (stat.nlink > 1 && seen.has(inode)) continue;
      if (stat.nlink > 1) seen.add(inode);
      bytes += stat.size;
    }
  }
  return bytes;
}
