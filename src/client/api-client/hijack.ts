import type { ByteSocket } from "./byte-socket.ts";

/** A connection that became a stream of bytes. */
export interface HijackedConnection {
  /** Raw for a terminal, frames otherwise. Ends when the daemon closes. */
  readonly output: AsyncIterable<Uint8Array>;
  /** Resolves when it is safe to write more. */
  write(bytes: Uint8Array): Promise<void>;
  /** Half-close: output goes on. */
  closeInput(): void;
  close(): void;
}

export function hijacked(socket: ByteSocket): HijackedConnection {
  return {
    output: chunks(socket),
    write: (bytes) => socket.write(bytes),
    closeInput: () => socket.closeInput(),
    close: () => socket.close(),
  };
}

async function* chunks(socket: ByteSocket): AsyncGenerator<Uint8Array> {
  for (let chunk = await socket.next(); chunk !== null; chunk = await socket.next()) yield chunk;
}
