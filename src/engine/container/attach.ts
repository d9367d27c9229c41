import { EngineError } from "#base/errors.ts";
import type { StreamChunk } from "#spec/engine-api/frame.ts";
import { announce } from "./announce.ts";
import type { AttachOptions, AttachStream } from "./container.ts";
import { DetachScanner, parseDetachKeys } from "./detach-keys.ts";
import type { Container } from "./registry.ts";
import type { Rooms } from "./rooms.ts";
import { isLive } from "./state.ts";
import { AttachedClient } from "./stream-switch.ts";

/** What one client sees of a stream: input with detach keys taken out, output of the streams it asked for. */
export interface ClientWishes {
  readonly terminal: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly detachKeys: string | undefined;
  readonly onDetach: () => void;
}

interface Streams {
  readonly output: AsyncIterable<StreamChunk>;
  write(bytes: Uint8Array): Promise<void>;
  closeInput(): Promise<void>;
  close(): void;
}

/** Puts a client's wishes around the streams of a task or an exec. @throws EngineError `invalid` for bad detach keys */
export function clientStream(streams: Streams, wishes: ClientWishes): AttachStream {
  const keys = parseDetachKeys(wishes.detachKeys);
  const scanner = wishes.terminal && wishes.stdin ? new DetachScanner(keys) : null;
  return {
    terminal: wishes.terminal,
    output: selected(streams.output, wishes),
    async write(bytes) {
      if (!wishes.stdin) return;
      if (scanner === null) return streams.write(bytes);
      const { pass, detach } = scanner.scan(bytes);
      if (pass.byteLength > 0) await streams.write(pass);
      if (!detach) return;
      wishes.onDetach();
      streams.close();
    },
    async closeInput() {
      if (wishes.stdin) await streams.closeInput();
    },
    close: () => streams.close(),
  };
}

async function* selected(output: AsyncIterable<StreamChunk>, wishes: ClientWishes): AsyncGenerator<StreamChunk> {
  for await (const chunk of output) if (wishes.terminal || wishes[chunk.kind]) yield chunk;
}

/**
 * Joins a client to a container; one that does not run yet is waited for.
 * @throws EngineError `conflict` when paused or between two runs
 */
export async function attachContainer(
  rooms: Pick<Rooms, "runtime" | "logs" | "events" | "locks">,
  container: Container,
  options: AttachOptions,
): Promise<AttachStream> {
  const { definition } = container.record;
  if (container.state.status === "paused") {
    throw new EngineError(
      "conflict",
      container.id,
      `container ${container.id} is paused, unpause the container before attach`,
    );
  }
  if (container.state.status === "restarting") {
    throw new EngineError(
      "conflict",
      container.id,
      `container ${container.id} is restarting, wait until the container is running`,
    );
  }
  const terminal = definition.config.Tty ?? false;
  const client = options.stream ? await connectClient(rooms, container) : null;
  announce(rooms.events, definition, "attach");
  const past = options.logs ? pastOutput(rooms.logs, container, options) : null;
  return clientStream(
    {
      output: joined(past, client),
      write: async (bytes) => client?.write(bytes),
      closeInput: async () => client?.closeInput(),
      close: () => client?.close(),
    },
    {
      terminal,
      stdin: options.stdin && (definition.config.OpenStdin ?? false),
      stdout: options.stdout,
      stderr: options.stderr,
      detachKeys: options.detachKeys,
      onDetach: () => announce(rooms.events, definition, "detach"),
    },
  );
}

/** Under the lock, so that a start in progress is either waited for or still ahead. */
async function connectClient(rooms: Pick<Rooms, "runtime" | "locks">, container: Container): Promise<AttachedClient> {
  return rooms.locks.run(container.id, async () => {
    if (!isLive(container.state)) return container.streams.await();
    const client = new AttachedClient(() => {});
    client.connect(await rooms.runtime.attach(container.id));
    return client;
  });
}

function pastOutput(logs: Rooms["logs"], container: Container, options: AttachOptions): AsyncIterable<StreamChunk> {
  return logs.read(
    container.id,
    { stdout: options.stdout, stderr: options.stderr },
    null,
    new AbortController().signal,
  );
}

async function* joined(
  past: AsyncIterable<StreamChunk> | null,
  client: AttachedClient | null,
): AsyncGenerator<StreamChunk> {
  if (past !== null) yield* past;
  if (client !== null) yield* client.output();
}
