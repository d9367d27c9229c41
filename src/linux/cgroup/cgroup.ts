/** Control groups on v1, hybrid and v2 hosts, by the files of cgroupfs. @see cgroups(7), Documentation/admin-guide/cgroup-v2.rst */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errorMessage } from "#base/errors.ts";
import { mount, reconfigure } from "#linux/mount/mount.ts";

const cgroupRoot = "/sys/fs/cgroup";

/** How the host's cgroups are laid out. */
export interface CgroupLayout {
  /** 2 only where everything is on the unified hierarchy. */
  readonly version: 1 | 2;
  /** v1: mount point of each hierarchy by its name; v2: the one mount under `""`. */
  readonly hierarchies: ReadonlyMap<string, string>;
  /** Controllers that v2 holds on an otherwise v1 host; crun 1.8 refuses to start containers while there are any. */
  readonly strayControllers: readonly string[];
}

interface MountLine {
  readonly path: string;
  readonly type: string;
  readonly options: readonly string[];
}

function cgroupMounts(): MountLine[] {
  return readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([, , type]) => type === "cgroup" || type === "cgroup2")
    .map(([, path = "", type = "", options = ""]) => ({ path, type, options: options.split(",") }));
}

/** Reads the layout of this host. */
export function readCgroupLayout(): CgroupLayout {
  const mounts = cgroupMounts();
  const unified = mounts.find((line) => line.type === "cgroup2");
  const legacy = mounts.filter((line) => line.type === "cgroup");
  if (unified !== undefined && legacy.length === 0)
    return { version: 2, hierarchies: new Map([["", unified.path]]), strayControllers: [] };
  const hierarchies = new Map<string, string>();
  for (const line of legacy) hierarchies.set(line.path.split("/").pop() ?? "", line.path);
  const stray = unified === undefined ? "" : readFileSync(join(unified.path, "cgroup.controllers"), "utf8").trim();
  if (unified !== undefined) hierarchies.set("unified", unified.path);
  return { version: 1, hierarchies, strayControllers: stray === "" ? [] : stray.split(" ") };
}

/**
 * Mounts stray v2 controllers of a hybrid host as v1 hierarchies, beside the others.
 * @returns what was done or why not, for the log
 */
export function mendHybrid(layout: CgroupLayout): string[] {
  return layout.strayControllers.map((controller) => {
    const path = join(cgroupRoot, controller);
    try {
      mkdirSync(path, { recursive: true });
      mount("cgroup", path, "cgroup", 0, controller);
      return `mounted the cgroup controller ${controller} as v1 at ${path}: the OCI runtime refuses hybrid hosts otherwise`;
    } catch (error) {
      return `cannot mount the cgroup controller ${controller} as v1: ${errorMessage(error)}`;
    }
  });
}

/**
 * Sets `favordynmods` on the unified hierarchy, which governs all of them: putting a process into a group then no longer
 * waits for a grace period of RCU, 10 to 30 ms on an idle host, at a small price for every fork and exit. Linux ≥ 6.0;
 * from 6.18 on it stays until the next boot. Other options of the mount are kept.
 * @returns what was done or why not, for the log
 */
export function favourQuickChanges(): string[] {
  const unified = unifiedMount();
  if (unified === null || unified.options.includes(quickChangesOption)) return [];
  try {
    reconfigure(unified.path, [
      ...unified.options.filter((name) => name !== "rw" && name !== "ro"),
      quickChangesOption,
    ]);
    return [`set ${quickChangesOption} on ${unified.path}: processes enter control groups without waiting`];
  } catch (error) {
    return [`cannot set ${quickChangesOption} on ${unified.path}: ${errorMessage(error)}`];
  }
}

const quickChangesOption = "favordynmods";

/** The mount of cgroup v2 with the options of its file system. @see proc(5), mountinfo */
function unifiedMount(): { path: string; options: string[] } | null {
  for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
    const [before = "", after = ""] = line.split(" - ");
    const [type, , options = ""] = after.split(" ");
    if (type === "cgroup2") return { path: before.split(" ")[4] ?? "", options: options.split(",") };
  }
  return null;
}

/** Makes the parent of containers on a v2 host and hands it every controller that its own parent has. */
export function prepareParent(layout: CgroupLayout, parent: string): void {
  if (layout.version !== 2) return;
  const root = layout.hierarchies.get("") ?? cgroupRoot;
  let path = root;
  for (const part of ["", ...parent.split("/").filter((name) => name !== "")]) {
    path = join(path, part);
    mkdirSync(path, { recursive: true });
    const controllers = readFileSync(join(path, "cgroup.controllers"), "utf8")
      .trim()
      .split(" ")
      .filter((name) => name !== "");
    for (const controller of controllers) {
      try {
        writeFileSync(join(path, "cgroup.subtree_control"), `+${controller}`);
      } catch {
        // A group with processes of its own cannot hand this one on; containers do without it.
      }
    }
  }
}

/** The files of one container's group. `path` is what config.json calls cgroupsPath. */
export class Cgroup {
  constructor(
    private readonly layout: CgroupLayout,
    private readonly path: string,
  ) {}

  #directory(controller: string): string {
    const base = this.layout.version === 2 ? this.layout.hierarchies.get("") : this.layout.hierarchies.get(controller);
    return join(base ?? join(cgroupRoot, controller), this.path);
  }

  #directories(): string[] {
    return [...new Set([...this.layout.hierarchies.values()].map((base) => join(base, this.path)))];
  }

  /** Pids in the group and in groups below it; empty when it is gone. */
  pids(): number[] {
    const found = new Set<number>();
    const pending = [this.#directory(this.layout.version === 2 ? "" : "pids")];
    for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
      for (const pid of readLines(join(directory, "cgroup.procs"))) found.add(Number(pid));
      for (const name of subdirectories(directory)) pending.push(join(directory, name));
    }
    return [...found].sort((a, b) => a - b);
  }

  /** How often the kernel killed for memory in this group. */
  oomKills(): number {
    const file = this.layout.version === 2 ? "memory.events" : "memory.oom_control";
    const line = readLines(join(this.#directory("memory"), file)).find((text) => text.startsWith("oom_kill "));
    return line === undefined ? 0 : Number(line.split(" ")[1]);
  }

  isFrozen(): boolean {
    const [file, word] = this.layout.version === 2 ? ["cgroup.freeze", "1"] : ["freezer.state", "FROZEN"];
    return readLines(join(this.#directory("freezer"), file))[0] === word;
  }

  /** Stops or continues every process of the group. @throws Error when the kernel refuses or does not finish in a second */
  async freeze(frozen: boolean): Promise<void> {
    if (this.layout.version === 2) {
      writeFileSync(join(this.#directory(""), "cgroup.freeze"), frozen ? "1" : "0");
      return;
    }
    const file = join(this.#directory("freezer"), "freezer.state");
    const wanted = frozen ? "FROZEN" : "THAWED";
    // A group that forks while it is frozen must be told again.
    for (let attempt = 0; attempt < 200; attempt++) {
      writeFileSync(file, wanted);
      if (readLines(file)[0] === wanted) return;
      await Bun.sleep(5);
    }
    throw new Error(`${file} does not become ${wanted}`);
  }

  /** Removes the group in every hierarchy; idempotent. @returns false while something in it lives */
  remove(): boolean {
    return this.#directories().every(removeTree);
  }
}

function removeTree(directory: string): boolean {
  if (!existsSync(directory)) return true;
  const below = subdirectories(directory).map((name) => removeTree(join(directory, name)));
  if (below.includes(false)) return false;
  try {
    rmdirSync(directory);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ENOENT";
  }
  return true;
}

function subdirectories(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line !== "");
  } catch {
    return [];
  }
}

/** Removes the parent of all containers where it is empty. */
export function removeParent(layout: CgroupLayout, parent: string): void {
  new Cgroup(layout, parent).remove();
}
