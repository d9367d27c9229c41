import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { noDaemonBecause, TestDaemon } from "#tests/fixtures/daemon.ts";

const skip = noDaemonBecause !== null;
if (skip) console.log(`skipped: ${noDaemonBecause}`);

let daemon: TestDaemon;
beforeAll(async () => {
  if (!skip) daemon = await TestDaemon.start();
});
afterAll(async () => {
  if (skip) return;
  await daemon.clear();
  expect(await daemon.leftovers()).toEqual([]);
  await daemon[Symbol.asyncDispose]();
});

type TerminalProcess = Bun.Subprocess & {
  readonly terminal?: { write(text: string): void; resize(columns: number, rows: number): void };
};

/** A command in a real terminal: what it shows, and keys to type. */
class Session implements AsyncDisposable {
  screen = "";
  readonly #process: TerminalProcess;

  constructor(words: readonly string[], env: Record<string, string> = {}) {
    this.#process = Bun.spawn([...words], {
      env: { ...process.env, TERM: "xterm", ...env },
      terminal: { cols: 90, rows: 30, data: (_: unknown, bytes: Uint8Array) => this.#append(bytes) },
    } as unknown as Parameters<typeof Bun.spawn>[1]) as TerminalProcess;
  }

  #append(bytes: Uint8Array): void {
    this.screen += Buffer.from(bytes).toString();
  }

  type(keys: string): void {
    this.#process.terminal?.write(keys);
  }

  resize(columns: number, rows: number): void {
    this.#process.terminal?.resize(columns, rows);
  }

  /** Waits until the screen shows a text. */
  async shows(pattern: RegExp): Promise<void> {
    for (let attempt = 0; attempt < 200; attempt++) {
      if (pattern.test(this.screen)) return;
      await Bun.sleep(25);
    }
    throw new Error(`the terminal never shows ${pattern}: ${JSON.stringify(this.screen)}`);
  }

  get exited(): Promise<number> {
    return this.#process.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }
}

const main = join(import.meta.dir, "../../src/main.ts");
const clis: [string, () => { words: string[]; env: Record<string, string> }][] = [
  ["skiff", () => ({ words: [process.execPath, main, "-H", `unix://${daemon.socket}`], env: {} })],
];
if (Bun.which("docker") !== null)
  clis.push(["docker", () => ({ words: ["docker"], env: { DOCKER_HOST: `unix://${daemon.socket}` } })]);

describe.skipIf(skip).each(clis)("a terminal by %s", (name, cli) => {
  const open = (words: readonly string[]) => new Session([...cli().words, ...words], cli().env);

  test("run -it: a shell, its size, ctrl-c, exit code", async () => {
    await using session = open(["run", "-it", "--rm", "busybox:test", "sh"]);
    await session.shows(/# /);
    session.type("stty size; tty\n");
    await session.shows(/30 90[\s\S]*\/dev\/pts\/0/);
    session.resize(100, 40);
    await Bun.sleep(300);
    session.type("stty size\n");
    await session.shows(/40 100/);
    session.type("sleep 100\n");
    await Bun.sleep(300);
    session.type("\x03");
    session.type("echo back=$?\n");
    await session.shows(/back=130/);
    session.type("exit 6\n");
    expect(await session.exited).toBe(6);
  });

  test("ctrl-p ctrl-q detaches, attach comes back", async () => {
    const container = `detach-${name}`;
    {
      await using session = open(["run", "-it", "--name", container, "busybox:test", "sh"]);
      await session.shows(/# /);
      session.type("\x10\x11");
      expect(await session.exited).toBe(0);
    }
    expect((await daemon.skiff(["inspect", "-f", "{{.State.Status}}", container])).out).toBe("running\n");
    await using again = open(["attach", container]);
    await Bun.sleep(500);
    again.type("echo here again\n");
    await again.shows(/\nhere again/);
    again.type("exit 3\n");
    expect(await again.exited).toBe(3);
  });

  test("exec -it has a terminal of its own", async () => {
    const container = `exec-${name}`;
    await daemon.skiff(["run", "-d", "--name", container, "busybox:test", "sleep", "100"]);
    await using session = open(["exec", "-it", container, "sh"]);
    await session.shows(/# /);
    session.type("stty size\n");
    await session.shows(/30 90/);
    session.type("exit 4\n");
    expect(await session.exited).toBe(4);
    await daemon.skiff(["rm", "-f", container]);
  });
});

describe.skipIf(skip)("signals", () => {
  test("run passes SIGTERM on and returns the container's code", async () => {
    const child = Bun.spawn(
      [
        process.execPath,
        main,
        "-H",
        `unix://${daemon.socket}`,
        "run",
        "--rm",
        "busybox:test",
        "sh",
        "-c",
        "trap 'echo got it; exit 8' TERM; echo ready; while :; do sleep 0.1; done",
      ],
      { stdout: "pipe" },
    );
    const reader = child.stdout.getReader();
    await reader.read();
    child.kill("SIGTERM");
    expect(Buffer.from((await reader.read()).value ?? new Uint8Array()).toString()).toBe("got it\n");
    expect(await child.exited).toBe(8);
  });
});
