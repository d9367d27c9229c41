import type { ApiClient } from "#client/api-client/api-client.ts";
import type { HijackedConnection } from "#client/api-client/hijack.ts";
import { FrameDecoder } from "#spec/engine-api/frame.ts";
import { writeRaw } from "./output.ts";

/** What of the user's side is joined to a container or exec. */
export interface JoinOptions {
  readonly stdin: boolean;
  readonly terminal: boolean;
}

/**
 * Passes stdin, stdout and stderr until the container's output ends.
 * @returns a promise of the output's end; stdin goes on beside it and is let go then
 */
export async function joinStreams(connection: HijackedConnection, options: JoinOptions): Promise<void> {
  using _raw =
    options.terminal && options.stdin && process.stdin.isTTY ? (await import("./raw-terminal.ts")).rawTerminal() : null;
  const input = options.stdin ? passInput(connection) : null;
  try {
    const decoder = options.terminal ? null : new FrameDecoder();
    for await (const bytes of connection.output) {
      if (decoder === null) writeRaw("stdout", bytes);
      else
        for (const piece of decoder.push(bytes)) writeRaw(piece.kind === "stderr" ? "stderr" : "stdout", piece.bytes);
    }
  } finally {
    input?.stop();
    connection.close();
  }
}

/** stdin in chunks to the container; its end is the container's end of input. */
function passInput(connection: HijackedConnection): { stop(): void } {
  const { stdin } = process;
  let last = Promise.resolve();
  const onData = (chunk: Uint8Array) => {
    stdin.pause();
    last = connection.write(chunk).then(() => {
      stdin.resume();
    });
  };
  const onEnd = () => void last.then(() => connection.closeInput());
  stdin.on("data", onData);
  stdin.on("end", onEnd);
  stdin.resume();
  return {
    stop() {
      stdin.off("data", onData);
      stdin.off("end", onEnd);
      stdin.pause();
      stdin.unref?.();
    },
  };
}

/** Keeps a container's or exec's terminal as large as ours. @param path `/containers/ID` or `/exec/ID` */
export function followSize(engine: ApiClient, path: string): Disposable {
  const send = () => {
    const { columns, rows } = process.stdout;
    if (columns === undefined || rows === undefined || columns === 0) return;
    void engine.send("POST", `${path}/resize`, { query: { w: columns, h: rows } }).catch(() => {
      // it has ended meanwhile
    });
  };
  send();
  process.stdout.on("resize", send);
  return { [Symbol.dispose]: () => void process.stdout.off("resize", send) };
}

const forwarded = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGUSR1",
  "SIGUSR2",
  "SIGCONT",
  "SIGWINCH",
  "SIGALRM",
] as const;

/** Signals that reach us go to the container instead. */
export function forwardSignals(engine: ApiClient, containerId: string): Disposable {
  const handlers = forwarded.map((signal) => {
    const handler = () => {
      void engine.send("POST", `/containers/${containerId}/kill`, { query: { signal } }).catch(() => {
        // it has ended meanwhile
      });
    };
    process.on(signal, handler);
    return { signal, handler };
  });
  return {
    [Symbol.dispose]() {
      for (const { signal, handler } of handlers) process.off(signal, handler);
    },
  };
}
