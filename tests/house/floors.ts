/** The house as data: which floor stands on which. docs/ARCHITECTURE.md explains it; floors.test.ts holds it. */
export const floors: Record<string, { readonly level: number; readonly mayImport: readonly string[] }> = {
  base: { level: 0, mayImport: [] },
  linux: { level: 1, mayImport: ["base"] },
  spec: { level: 1, mayImport: ["base"] },
  store: { level: 2, mayImport: ["linux", "spec", "base"] },
  subsystems: { level: 3, mayImport: ["store", "linux", "spec", "base"] },
  engine: { level: 4, mayImport: ["subsystems", "store", "spec", "base"] },
  server: { level: 5, mayImport: ["engine", "subsystems", "spec", "base"] },
  client: { level: 6, mayImport: ["spec", "base"] },
};

/** Edges between rooms of one floor; everything else between siblings is refused. */
export const siblingEdges: readonly string[] = [
  "subsystems/image > subsystems/distribution",
  "engine/container > engine/sandbox",
  "engine/container > engine/system",
  "engine/build > engine/sandbox",
  "engine/build > engine/system",
  "store/snapshot > store/content",
  "store/snapshot > store/diff",
  "store/snapshot > store/metadata",
  "store/lease > store/metadata",
  "store/diff > store/content",
  "linux/namespace > linux/netlink",
  "linux/namespace > linux/mount",
  "linux/mount > linux/fs",
  "linux/cgroup > linux/fs",
  "linux/cgroup > linux/mount",
  "spec/engine-api > spec/oci",
  "spec/engine-api > spec/reference",
  "spec/reference > spec/oci",
  "server/daemon > server/api",
  "server/daemon > server/registry",
  "client/cli > client/api-client",
  "client/cli > client/compose",
  "client/compose > client/api-client",
];

/** The one file that picks implementations may reach further down. */
export const wiring: Record<string, readonly string[]> = {
  "server/daemon/wiring.ts": ["engine", "subsystems", "store", "linux", "spec", "base"],
  "main.ts": ["server", "client"],
};
