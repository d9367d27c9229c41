import type { Socket } from "node:net";

/** Writes to a client at the client's pace. Every wait ends when the client goes. */
export interface Sink {
  write(bytes: Uint8Array): Promise<void>;
  readonly isOpen: boolean;
}

interface Writable {
  write(bytes: Uint8Array): boolean;
  once(event: "drain" | "close" | "error", listener: () => void): unknown;
  off(event: "drain" | "close" | "error", listener: () => void): unknown;
  readonly destroyed: boolean;
  readonly writableEnded?: boolean;
}

/** A sink over Node's writable streams. */
export function sinkOver(stream: Writable): Sink {
  const isOpen = () => !stream.destroyed && stream.writableEnded !== true;
  return {
    get isOpen() {
      return isOpen();
    },
    async write(bytes) {
      if (!isOpen() || stream.write(bytes)) return;
      await new Promise<void>((resolve) => {
        const done = () => {
          for (const event of ["drain", "close", "error"] as const) stream.off(event, done);
          resolve();
        };
        for (const event of ["drain", "close", "error"] as const) stream.once(event, done);
        if (!isOpen()) done();
      });
    },
  };
}

/** Bytes from a client; asking for the next chunk is what lets it send more. Ends at half-close or when the client goes. */
export async function* bytesFrom(socket: Socket, head: Uint8Array): AsyncGenerator<Uint8Array> {
  if (head.byteLength > 0) yield head;
  const queue: Uint8Array[] = [];
  let over = false;
  let wake = () => {};
  const onData = (chunk: Uint8Array) => {
    queue.push(chunk);
    socket.pause();
    wake();
  };
  const onEnd = () => {
    over = true;
    wake();
  };
  socket.on("data", onData);
  for (const event of ["end", "close", "error"] as const) socket.on(event, onEnd);
  try {
    for (;;) {
      const chunk = queue.shift();
      if (chunk !== undefined) {
        yield chunk;
        continue;
      }
      if (over) return;
      socket.resume();
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (queue.length > 0 || over) resolve();
      });
    }
  } finally {
    socket.off("data", onData);
    // A socket without a reader must flow, or its end is never seen.
    socket.resume();
  }
}
