import type { Socket } from "node:net";
import { errorMessage } from "#base/errors.ts";
import type { AttachStream } from "#engine/container/container.ts";
import { encodeFrame, type StreamChunk } from "#spec/engine-api/frame.ts";
import type { ApiVersion } from "../versions.ts";
import { bytesFrom, sinkOver } from "./wire.ts";

/** Version from which the content type says whether frames follow. */
const multiplexedTypeSince: ApiVersion = 42;

/** A connection whose request has been read and which is ours from now on. */
export interface TakenConnection {
  readonly socket: Socket;
  /** Bytes that came behind the request. */
  readonly head: Uint8Array;
  /** The client sent `Upgrade: tcp` and wants 101; older ones want 200. */
  readonly upgrade: boolean;
}

/** The content type of a container's stream. */
export function streamType(terminal: boolean, version: ApiVersion): string {
  const framed = !terminal && version >= multiplexedTypeSince;
  return `application/vnd.docker.${framed ? "multiplexed" : "raw"}-stream`;
}

/** A chunk as it goes over the wire. */
export function wireBytes(chunk: StreamChunk, terminal: boolean): Uint8Array {
  return terminal ? chunk.bytes : encodeFrame(chunk.kind, chunk.bytes);
}

/**
 * Answers the request and joins the client with the stream, each side at the pace of the other, until the output ends.
 * The client's half-close is passed on as end of input; its going closes the stream.
 */
export async function joinHijacked(
  connection: TakenConnection,
  options: { readonly terminal: boolean; readonly version: ApiVersion; readonly open: () => Promise<AttachStream> },
): Promise<void> {
  const { socket, upgrade } = connection;
  const type = streamType(options.terminal, options.version);
  const status = upgrade ? "101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp" : "200 OK";
  socket.write(`HTTP/1.1 ${status}\r\nContent-Type: ${type}\r\n\r\n`);
  const sink = sinkOver(socket);
  let stream: AttachStream;
  try {
    stream = await options.open();
  } catch (error) {
    // The answer has begun: Docker, too, tells on the stream.
    const bytes = Buffer.from(`${errorMessage(error)}\r\n`);
    await sink.write(wireBytes({ kind: "stderr", bytes }, options.terminal));
    socket.end();
    return;
  }
  const onGone = () => stream.close();
  socket.once("close", onGone);
  socket.on("error", onGone);
  const input = passInput(connection, stream);
  try {
    for await (const chunk of stream.output) {
      await sink.write(wireBytes(chunk, options.terminal));
      if (!sink.isOpen) break;
    }
  } finally {
    stream.close();
    socket.end();
    await input;
  }
}

async function passInput({ socket, head }: TakenConnection, stream: AttachStream): Promise<void> {
  try {
    for await (const bytes of bytesFrom(socket, head)) await stream.write(bytes);
    await stream.closeInput();
  } catch {
    // The process has ended or closed its input: what the client still types is for nobody.
    socket.resume();
  }
}
