import type { ServerResponse } from "node:http";
import { EngineError, errorMessage } from "#base/errors.ts";
import type { Logger } from "#base/log.ts";
import type { Reply } from "./reply.ts";
import { httpStatus } from "./status.ts";
import { sinkOver } from "./streams/wire.ts";

/** Status and message of anything thrown; what is not ours is a fault of ours. */
export function failure(error: unknown, log: Logger, request: string): { status: number; message: string } {
  if (error instanceof EngineError) {
    const status = httpStatus[error.kind];
    if (status >= 500) log.error("request failed", { request, error });
    return { status, message: error.message };
  }
  log.error("request failed unexpectedly", { request, error, stack: error instanceof Error ? error.stack : undefined });
  return { status: 500, message: errorMessage(error) };
}

function json(response: ServerResponse, status: number, body: unknown): void {
  const bytes = Buffer.from(`${JSON.stringify(body)}\n`);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": bytes.byteLength });
  response.end(bytes);
}

/** Answers with Docker's error form. */
export function respondFailure(response: ServerResponse, error: unknown, log: Logger, request: string): void {
  const { status, message } = failure(error, log, request);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (status === 304) {
    response.writeHead(304);
    response.end();
    return;
  }
  json(response, status, { message });
}

/** Puts a reply on the wire. `hijack` is handled where the connection is. */
export async function respond(
  response: ServerResponse,
  reply: Exclude<Reply, { kind: "hijack" }>,
  log: Logger,
  request: string,
): Promise<void> {
  switch (reply.kind) {
    case "json":
      json(response, reply.status, reply.body);
      return;
    case "text":
      response.writeHead(reply.status, { "Content-Type": reply.contentType, ...reply.headers });
      response.end(reply.body);
      return;
    case "empty":
      response.writeHead(reply.status, { ...reply.headers });
      response.end();
      return;
    case "stream":
      return stream(response, reply.contentType, reply.chunks);
    case "messages":
      return stream(response, reply.contentType ?? "application/json", jsonLines(reply.messages, log, request));
    case "later": {
      response.writeHead(200, { "Content-Type": "application/json" });
      response.flushHeaders();
      const body = await reply.body.catch((error: unknown) => {
        if (response.destroyed || response.writableEnded) return {}; // the client went first
        const { message } = failure(error, log, request);
        return { StatusCode: 0, Error: { Message: message } };
      });
      response.end(`${JSON.stringify(body)}\n`);
    }
  }
}

async function stream(response: ServerResponse, contentType: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const iterator = chunks[Symbol.asyncIterator]();
  const sink = sinkOver(response);
  try {
    // Headers are held back no longer than the first chunk takes to fail: an early error keeps its status.
    const first = iterator.next();
    const early = await Promise.race([first, Bun.sleep(20).then(() => null)]);
    response.writeHead(200, { "Content-Type": contentType });
    response.flushHeaders();
    for (let step = early ?? (await first); step.done !== true; step = await iterator.next()) {
      await sink.write(step.value);
      if (!sink.isOpen) return;
    }
    response.end();
  } finally {
    await iterator.return?.();
  }
}

/** One JSON object a line; a failure is the last line, as Docker's progress streams have it. */
async function* jsonLines(messages: AsyncIterable<unknown>, log: Logger, request: string): AsyncGenerator<Uint8Array> {
  let begun = false;
  try {
    for await (const message of messages) {
      begun = true;
      yield Buffer.from(`${JSON.stringify(message)}\r\n`);
    }
  } catch (error) {
    if (!begun) throw error;
    const { message } = failure(error, log, request);
    yield Buffer.from(`${JSON.stringify({ errorDetail: { message }, error: message })}\r\n`);
  }
}
