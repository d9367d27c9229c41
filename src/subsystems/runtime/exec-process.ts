import { closeSync, existsSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { EngineError } from "#base/errors.ts";
import { setNonBlocking, setTerminalSize } from "#linux/process/terminal.ts";
import { DescriptorListener } from "#linux/process/unix-socket.ts";
import type { StreamChunk } from "#spec/engine-api/frame.ts";
import type { Attachment, ExecProcess, ExecRequest } from "./runtime.ts";
import { startError } from "./start-error.ts";

/** A runtime that has not begun by then hangs. */
const startTimeoutMs = 30_000;

interface Paths {
  readonly process: string;
  readonly pid: string;
  readonly console: string;
}

type RuntimeProcess = Bun.Subprocess<"pipe" | "ignore", "pipe" | "ignore", "pipe">;

/** Runs a command in a live container by the runtime's `exec`; no monitor stands between. */
export async function startExec(
  runtime: readonly string[],
  directory: string,
  request: ExecRequest,
): Promise<ExecProcess> {
  const base = join(directory, request.execId.slice(0, 16));
  const paths: Paths = { process: `${base}.json`, pid: `${base}.pid`, console: `${base}.tty` };
  writeFileSync(paths.process, JSON.stringify(request.process), { mode: 0o600 });
  using cleanUp = new DisposableStack();
  cleanUp.defer(() => {
    rmSync(paths.process, { force: true });
    rmSync(paths.pid, { force: true });
  });
  const listener = request.terminal ? cleanUp.use(new DescriptorListener(paths.console)) : null;
  const words = [...runtime, "exec", "--process", paths.process, "--pid-file", paths.pid];
  if (listener !== null) words.push("--console-socket", paths.console, "--tty");
  words.push(request.containerId);
  const pipesOut = request.attachOutput && !request.terminal;
  const child: RuntimeProcess = Bun.spawn(words, {
    stdio: [request.attachStdin && !request.terminal ? "pipe" : "ignore", pipesOut ? "pipe" : "ignore", "pipe"],
    env: { PATH: Bun.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin" },
    detached: true,
  });
  const { master, pid } = await begun(child, listener, paths, request);
  return execProcess(child, child.exited, pid, master, request);
}

/** Waits until the process runs (its pid is noted, its terminal handed over) or the runtime gives up. */
async function begun(
  child: RuntimeProcess,
  listener: DescriptorListener | null,
  paths: Paths,
  request: ExecRequest,
): Promise<{ master: number | null; pid: number }> {
  let master: number | null = null;
  const deadline = Date.now() + startTimeoutMs;
  while (Date.now() < deadline) {
    if (listener !== null && master === null) master = listener.tryReceive();
    const noted = readPid(paths.pid);
    if (noted !== null && (listener === null || master !== null)) return { master, pid: noted };
    if (child.exitCode !== null || child.signalCode !== null) {
      if (noted !== null) return { master, pid: noted };
      if (master !== null) closeSync(master);
      const said = await new Response(child.stderr).text();
      throw startError("exec", request.containerId, said, request.process.args[0] ?? "");
    }
    await Promise.race([child.exited, Bun.sleep(1)]);
  }
  child.kill("SIGKILL");
  throw new EngineError("internal", request.containerId, "the OCI runtime did not start the exec in time");
}

function readPid(path: string): number | null {
  if (!existsSync(path)) return null;
  const text = readFileSync(path, "utf8");
  return /^\d+/.test(text) ? Number.parseInt(text, 10) : null;
}

function execProcess(
  child: RuntimeProcess,
  exited: Promise<number>,
  pid: number,
  master: number | null,
  request: ExecRequest,
): ExecProcess {
  if (master !== null) {
    setNonBlocking(master);
    const terminal = new TerminalAttachment(master, request.attachOutput);
    void exited.then(() => terminal.processEnded());
    const size = request.process.consoleSize;
    if (size !== undefined) setTerminalSize(master, size.width, size.height);
    return {
      pid,
      exited,
      attachment: request.attachOutput ? terminal : null,
      resize: (width, height) => terminal.resize(width, height),
    };
  }
  const attachment = request.attachOutput ? pipeAttachment(child) : null;
  if (attachment === null) void drain(child.stderr);
  return { pid, exited, attachment, resize: () => {} };
}

async function drain(stream: ReadableStream<Uint8Array>): Promise<void> {
  for await (const _ of stream);
}

/** stdin, stdout and stderr as the runtime passes them through. */
function pipeAttachment(child: RuntimeProcess): Attachment {
  const { stdin, stdout, stderr } = child;
  const output = stdout instanceof ReadableStream ? merged(stdout, stderr) : merged(null, stderr);
  let open = typeof stdin === "object" && stdin !== null;
  return {
    output,
    async write(bytes) {
      if (!open || stdin === undefined || typeof stdin === "number") return;
      try {
        stdin.write(bytes);
        await stdin.flush();
      } catch {
        open = false; // the process closed its input; what it prints still comes
      }
    },
    async closeInput() {
      if (!open || stdin === undefined || typeof stdin === "number") return;
      open = false;
      await stdin.end();
    },
    close() {
      if (open && stdin !== undefined && typeof stdin !== "number") void stdin.end();
      open = false;
    },
  };
}

/** Both streams in the order in which their chunks arrive; each is read only when the consumer wants more. */
async function* merged(
  stdout: ReadableStream<Uint8Array> | null,
  stderr: ReadableStream<Uint8Array>,
): AsyncGenerator<StreamChunk> {
  type Turn = {
    kind: StreamChunk["kind"];
    result: ReadableStreamReadResult<Uint8Array>;
    reader: ReadableStreamDefaultReader<Uint8Array>;
  };
  const turns = new Map<StreamChunk["kind"], Promise<Turn>>();
  const ask = (kind: StreamChunk["kind"], reader: ReadableStreamDefaultReader<Uint8Array>) =>
    turns.set(
      kind,
      reader.read().then((result) => ({ kind, result: result as ReadableStreamReadResult<Uint8Array>, reader })),
    );
  if (stdout !== null) ask("stdout", stdout.getReader() as ReadableStreamDefaultReader<Uint8Array>);
  ask("stderr", stderr.getReader() as ReadableStreamDefaultReader<Uint8Array>);
  while (turns.size > 0) {
    const { kind, result, reader } = await Promise.race(turns.values());
    turns.delete(kind);
    if (result.done) continue;
    yield { kind, bytes: result.value };
    ask(kind, reader);
  }
}

/** The master side of an exec's terminal. */
class TerminalAttachment implements Attachment {
  readonly output: AsyncIterable<StreamChunk>;
  #open = true;

  constructor(
    private readonly fd: number,
    wanted: boolean,
  ) {
    this.output = this.#read();
    if (!wanted) void this.#discard();
  }

  async *#read(): AsyncGenerator<StreamChunk> {
    try {
      for await (const bytes of Bun.file(this.fd).stream()) yield { kind: "stdout", bytes };
    } catch (error) {
      // EIO is how a terminal's master says that the last process behind it is gone.
      if (!(error instanceof Error && "code" in error && error.code === "EIO")) throw error;
    } finally {
      this.#release();
    }
  }

  async #discard(): Promise<void> {
    for await (const _ of this.output);
  }

  #release(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.fd);
  }

  /** Nobody may be reading any more (a detached client): the descriptor must not stay. */
  processEnded(): void {
    setTimeout(() => this.#release(), 1_000).unref();
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.byteLength && this.#open; ) {
      try {
        offset += writeSync(this.fd, bytes, offset);
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) return;
        await Bun.sleep(2);
      }
    }
  }

  /** A terminal's end of input is a character that the client types; there is no half-close. */
  async closeInput(): Promise<void> {}

  resize(width: number, height: number): void {
    if (this.#open) setTerminalSize(this.fd, width, height);
  }

  close(): void {}
}
