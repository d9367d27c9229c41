import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { EngineError, errorMessage } from "#base/errors.ts";
import type { Logger } from "#base/log.ts";
import {
  Cgroup,
  type CgroupLayout,
  favourQuickChanges,
  mendHybrid,
  prepareParent,
  readCgroupLayout,
  removeParent,
} from "#linux/cgroup/cgroup.ts";
import { bindMount, mountOverlay, mountsBelow, unmount } from "#linux/mount/mount.ts";
import { commandLine, isAlive, sendSignal } from "#linux/process/process.ts";
import { SealedProgram } from "#linux/process/sealed-program.ts";
import type { RuntimeResources } from "#spec/oci/runtime.ts";
import type { Mount } from "#store/snapshot/snapshot.ts";
import { type BundlePaths, bundlePaths, type ConmonCommand, WaitingMonitor } from "./conmon.ts";
import { ConmonAttachment } from "./conmon-attachment.ts";
import { startExec } from "./exec-process.ts";
import { ExitFiles } from "./exits.ts";
import type { Attachment, ExecProcess, ExecRequest, Exit, MonitorRequest, PendingTask, Runtime } from "./runtime.ts";
import { SeccompCache } from "./seccomp-cache.ts";
import { processTable } from "./top.ts";

export interface RuntimeOptions {
  readonly execRoot: string;
  /** `crun`, `runc` or a path; undefined: the first that is there and works with this host's cgroups. */
  readonly preferred: string | undefined;
  readonly cgroupParent: string;
  /** Trade a little of every fork for quick moves between groups, on the whole host (`favordynmods`). */
  readonly favourQuickGroupChanges: boolean;
  readonly log: Logger;
}

const searchPath = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const sigkill = 9;
/** Tries, 10 ms apart, until the last process of a group is gone. */
const cgroupRemovalTries = 300;

function findProgram(name: string): string | null {
  const candidates = name.includes("/") ? [name] : searchPath.map((directory) => join(directory, name));
  return candidates.find((path) => isExecutable(path)) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Finds the programs, looks at the host's cgroups, mends what it can. @throws EngineError `unavailable` naming what is missing */
export async function openRuntime(options: RuntimeOptions): Promise<ConmonRuntime> {
  const conmon = findProgram("conmon");
  if (conmon === null)
    throw new EngineError("unavailable", "conmon", "conmon is not installed: apt-get install conmon");
  let layout = readCgroupLayout();
  const notices: string[] = [];
  const wanted = options.preferred;
  const crun = wanted === undefined || wanted === "crun" ? findProgram("crun") : null;
  if (crun !== null && layout.strayControllers.length > 0) {
    notices.push(...mendHybrid(layout));
    layout = readCgroupLayout();
  }
  const crunWorks = crun !== null && (layout.version === 2 || layout.strayControllers.length === 0);
  const runtime = crunWorks ? crun : findProgram(wanted === undefined || wanted === "crun" ? "runc" : wanted);
  if (runtime === null)
    throw new EngineError("unavailable", wanted ?? "crun", `no OCI runtime found: apt-get install ${wanted ?? "crun"}`);
  if (crun !== null && runtime !== crun && wanted !== "runc")
    notices.push(`using ${runtime}: crun does not work with this host's cgroups`);
  prepareParent(layout, options.cgroupParent);
  if (options.favourQuickGroupChanges) notices.push(...favourQuickChanges());
  return new ConmonRuntime(options, conmon, runtime, layout, notices);
}

export class ConmonRuntime implements Runtime {
  readonly name: string;
  readonly cgroupVersion: 1 | 2;
  readonly #bundles: string;
  readonly #state: string;
  readonly #execs: string;
  readonly #containers: string;
  readonly #command: ConmonCommand;
  readonly #exits: ExitFiles;
  readonly #seccomp: SeccompCache;
  readonly #sealed: SealedProgram | null;

  constructor(
    private readonly options: RuntimeOptions,
    conmon: string,
    runtime: string,
    private readonly layout: CgroupLayout,
    /** What was mended or chosen at start, for the log. */
    readonly notices: readonly string[],
  ) {
    const root = join(options.execRoot, "runtime");
    this.#bundles = join(root, "bundles");
    this.#state = join(root, "state");
    this.#execs = join(root, "execs");
    this.#containers = join(options.execRoot, "containers");
    rmSync(this.#execs, { recursive: true, force: true });
    for (const directory of [this.#bundles, this.#state, this.#execs, this.#containers])
      mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.name = runtime.split("/").pop() ?? runtime;
    this.cgroupVersion = layout.version;
    const runtimeArguments = [`--root=${this.#state}`];
    if (this.name === "crun") runtimeArguments.push("--cgroup-manager=cgroupfs");
    this.#seccomp = new SeccompCache(join(root, "seccomp"));
    this.#exits = new ExitFiles(join(root, "exits"), (id) => this.#monitorIsGone(id));
    this.#sealed = sealed(runtime, options.log);
    this.#command = {
      conmon,
      runtime: this.#sealed?.path ?? runtime,
      runtimeArguments,
      exitDirectory: this.#exits.directory,
    };
  }

  #paths(id: string): BundlePaths {
    return bundlePaths(this.#bundles, id);
  }

  #cgroup(id: string): Cgroup {
    return new Cgroup(this.layout, this.#cgroupPath(id));
  }

  /** The group that config.json named; `--cgroup-parent` may have put it elsewhere. */
  #cgroupPath(id: string): string {
    try {
      const noted = readFileSync(join(this.#paths(id).directory, "cgroup"), "utf8");
      if (noted !== "") return noted;
    } catch {
      // a bundle that was never whole
    }
    return `${this.options.cgroupParent}/${id}`;
  }

  rootfsPath(id: string): string {
    return join(this.#containers, id, "rootfs");
  }

  async mountRootfs(id: string, mounts: readonly Mount[]): Promise<string> {
    const target = this.rootfsPath(id);
    if (existsSync(target)) {
      if (mountsBelow(target).length > 0) return target;
    } else mkdirSync(target, { recursive: true, mode: 0o700 });
    for (const step of mounts) applyMount(step, target);
    return target;
  }

  async unmountRootfs(id: string): Promise<void> {
    const directory = join(this.#containers, id);
    const target = join(directory, "rootfs");
    if (!existsSync(directory)) return;
    // A mount may lie on a mount after a crash; each call takes one away.
    for (let depth = 0; depth < 16 && unmount(target); depth++);
    rmSync(directory, { recursive: true, force: true });
  }

  prepare(request: MonitorRequest): PendingTask {
    const { id } = request;
    const paths = this.#paths(id);
    this.#exits.forget(id);
    mkdirSync(paths.directory, { recursive: true, mode: 0o700 });
    // conmon opens the log before it waits.
    mkdirSync(dirname(request.logPath), { recursive: true, mode: 0o700 });
    const monitor = WaitingMonitor.start(this.#command, request, paths);
    return {
      abandon: () => monitor.abandon(),
      create: async (spec) => {
        writeFileSync(join(paths.directory, "cgroup"), spec.linux.cgroupsPath ?? "");
        writeFileSync(paths.config, JSON.stringify(this.#seccomp.withFilter(spec)), { mode: 0o600 });
        const pid = await monitor.go(id, spec.process.args[0] ?? "");
        this.#seccomp.learn(spec, join(this.#state, id, "seccomp.bpf"));
        return { pid, conmonPid: readPidFile(paths.conmonPidFile) ?? 0 };
      },
    };
  }

  /** The container's init waits at a fifo; a byte lets it go on. runc's protocol differs, so it is asked itself. */
  async start(id: string): Promise<void> {
    if (this.name !== "crun") return this.#run(["start", id], id);
    const fifo = join(this.#state, id, "exec.fifo");
    let fd: number;
    try {
      fd = openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch {
      return this.#run(["start", id], id);
    }
    try {
      writeSync(fd, "1");
    } finally {
      closeSync(fd);
    }
    unlinkSync(fifo);
  }

  async #run(words: readonly string[], id: string): Promise<void> {
    const child = Bun.spawn([this.#command.runtime, ...this.#command.runtimeArguments, ...words], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const said = await new Response(child.stderr).text();
    if ((await child.exited) !== 0) throw new EngineError("internal", id, `${this.name} ${words[0]}: ${said.trim()}`);
  }

  #initPid(id: string): number | null {
    return readPidFile(this.#paths(id).pidFile);
  }

  async kill(id: string, signal: number): Promise<void> {
    const pid = this.#initPid(id);
    // While no exit is noted, init has not been reaped, and its pid is nobody else's.
    if (pid === null || this.#exits.read(id) !== null || !sendSignal(pid, signal)) {
      throw new EngineError("conflict", id, `container ${id} is not running`);
    }
  }

  async pause(id: string): Promise<void> {
    await this.#cgroup(id).freeze(true);
  }

  async resume(id: string): Promise<void> {
    await this.#cgroup(id).freeze(false);
  }

  async update(id: string, resources: RuntimeResources): Promise<void> {
    const file = join(this.#execs, `${id}.resources`);
    writeFileSync(file, JSON.stringify(resources));
    try {
      await this.#run(["update", "--resources", file, id], id);
    } finally {
      rmSync(file, { force: true });
    }
  }

  async delete(id: string): Promise<void> {
    const paths = this.#paths(id);
    const known = existsSync(paths.directory);
    const conmonPid = readPidFile(paths.conmonPidFile);
    if (known) {
      const cgroup = this.#cgroup(id);
      await this.#endProcesses(id, cgroup);
      await this.#endMonitor(id, conmonPid);
    }
    rmSync(join(this.#state, id), { recursive: true, force: true });
    this.#exits.forget(id);
    rmSync(paths.directory, { recursive: true, force: true });
  }

  async #endProcesses(id: string, cgroup: Cgroup): Promise<void> {
    for (let attempt = 0; attempt < cgroupRemovalTries; attempt++) {
      if (cgroup.remove()) return;
      if (attempt === 0 && cgroup.isFrozen()) await cgroup.freeze(false).catch(() => {});
      for (const pid of cgroup.pids()) sendSignal(pid, sigkill);
      await Bun.sleep(attempt < 10 ? 1 : 10);
    }
    this.options.log.warn("a container's control group does not become empty", { container: id, pids: cgroup.pids() });
  }

  /** conmon ends by itself when its container has; one that lost it is ended. */
  async #endMonitor(id: string, pid: number | null): Promise<void> {
    if (pid === null) return;
    for (let attempt = 0; attempt < 50; attempt++) {
      if (!this.#isMonitor(pid, id)) return;
      await Bun.sleep(2);
    }
    sendSignal(pid, sigkill);
  }

  #isMonitor(pid: number, id: string): boolean {
    return isAlive(pid) && commandLine(pid).includes(id);
  }

  #monitorIsGone(id: string): boolean {
    const pid = readPidFile(this.#paths(id).conmonPidFile);
    return pid === null || !this.#isMonitor(pid, id);
  }

  attach(id: string): Promise<Attachment> {
    return ConmonAttachment.open(this.#paths(id).attachSocket);
  }

  /** @see conmon's ctl fifo: "1 HEIGHT WIDTH" sets the size, "2 0 0" opens the log anew */
  #control(id: string, message: string): void {
    const fd = openSync(this.#paths(id).controlFifo, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      writeSync(fd, `${message}\n`);
    } finally {
      closeSync(fd);
    }
  }

  async resize(id: string, width: number, height: number): Promise<void> {
    try {
      this.#control(id, `1 ${height} ${width}`);
    } catch (error) {
      throw new EngineError("conflict", id, `cannot resize container ${id}: ${errorMessage(error)}`, { cause: error });
    }
  }

  reopenLog(id: string): void {
    try {
      this.#control(id, "2 0 0");
    } catch (error) {
      this.options.log.debug("cannot ask for a new log file", { container: id, error });
    }
  }

  exec(request: ExecRequest): Promise<ExecProcess> {
    return startExec([this.#command.runtime, ...this.#command.runtimeArguments], this.#execs, request);
  }

  async pids(id: string): Promise<number[]> {
    return this.#cgroup(id).pids();
  }

  async top(id: string, psArguments: readonly string[]): Promise<{ titles: string[]; processes: string[][] }> {
    return processTable(this.#cgroup(id).pids(), psArguments);
  }

  async wait(id: string): Promise<Exit> {
    const noted = await this.#exits.wait(id);
    return this.#exitOf(id, noted);
  }

  #exitOf(id: string, noted: { code: number; at: Date }): Exit {
    const marked = existsSync(join(this.#paths(id).directory, "oom"));
    return { code: noted.code, at: noted.at, oomKilled: marked || this.#cgroup(id).oomKills() > 0 };
  }

  async recover(ids: readonly string[]): ReturnType<Runtime["recover"]> {
    const found: Awaited<ReturnType<Runtime["recover"]>> = new Map();
    const known = new Set(ids);
    for (const id of ids) found.set(id, await this.#recoverOne(id));
    const onDisk = new Set([
      ...readdirSync(this.#bundles),
      ...readdirSync(this.#state),
      ...this.#exits.ids(),
      ...readdirSync(this.#containers),
    ]);
    for (const id of onDisk) {
      if (known.has(id)) continue;
      this.options.log.info("removing what is left of an unknown container", { container: id });
      await this.delete(id);
      await this.unmountRootfs(id);
    }
    return found;
  }

  async #recoverOne(
    id: string,
  ): Promise<
    | { state: "running" | "paused"; pid: number; conmonPid: number }
    | { state: "exited"; exit: Exit }
    | { state: "gone" }
  > {
    const noted = this.#exits.read(id);
    if (noted !== null) return { state: "exited", exit: this.#exitOf(id, noted) };
    const pid = this.#initPid(id);
    const conmonPid = readPidFile(this.#paths(id).conmonPidFile);
    const monitored = conmonPid !== null && this.#isMonitor(conmonPid, id);
    // Created but never let go: its start was not acknowledged, and it is taken back.
    const begun = !existsSync(join(this.#state, id, "exec.fifo"));
    if (pid === null || conmonPid === null || !monitored || !isAlive(pid) || !begun) return { state: "gone" };
    return { state: this.#cgroup(id).isFrozen() ? "paused" : "running", pid, conmonPid };
  }

  async stop(): Promise<void> {
    this.#exits.stop();
    if (readdirSync(this.#bundles).length === 0) removeParent(this.layout, this.options.cgroupParent);
    this.#sealed?.[Symbol.dispose]();
  }
}

/** null where the kernel does not let memory files be executed: the runtime makes its own copies then. */
function sealed(runtime: string, log: Logger): SealedProgram | null {
  try {
    return new SealedProgram(runtime);
  } catch (error) {
    log.debug("the OCI runtime is started from its file", { runtime, error });
    return null;
  }
}

function applyMount(step: Mount, target: string): void {
  if (step.type === "bind") {
    bindMount(step.source, target);
    return;
  }
  if (step.type !== "overlay")
    throw new EngineError("unsupported", step.type, `cannot mount a snapshot of type ${step.type}`);
  const option = (key: string) => step.options.find((text) => text.startsWith(`${key}=`))?.slice(key.length + 1) ?? "";
  mountOverlay(target, option("lowerdir").split(":"), option("upperdir"), option("workdir"));
}

function readPidFile(path: string): number | null {
  try {
    const pid = Number.parseInt(readFileSync(path, "utf8"), 10);
    return Number.isInteger(pid) && pid > 0 ? pid : null;
  } catch {
    return null;
  }
}
