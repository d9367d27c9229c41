import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient, ApiError, ConnectionError } from "./api-client.ts";

/** A daemon that answers each request (its raw bytes so far) as `script` says. */
class ScriptedDaemon implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "skiff-http-"));
  readonly path = join(this.directory, "s.sock");
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(script: (received: string, socket: Socket) => void) {
    this.#server = createServer((socket) => {
      this.connections++;
      this.#sockets.add(socket);
      let received = "";
      socket.on("error", () => {});
      socket.on("data", (chunk) => {
        received += chunk.toString("latin1");
        if (!received.includes("\r\n\r\n")) return;
        script(received, socket);
        if (!received.toLowerCase().includes("transfer-encoding")) received = "";
      });
    });
    this.#server.listen(this.path);
  }

  get client(): ApiClient {
    return new ApiClient({ kind: "unix", path: this.path, host: `unix://${this.path}` });
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

let daemon: ScriptedDaemon | null = null;
const scripted = (script: (received: string, socket: Socket) => void) => {
  daemon = new ScriptedDaemon(script);
  return daemon;
};
afterEach(() => {
  daemon?.[Symbol.dispose]();
  daemon = null;
});

test("a body with a length, one in chunks cut anywhere, and none at all share one connection", async () => {
  const answers = [
    ["HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", '{"a":1}'],
    ["HTTP/1.1 200 OK\r\nTransfer-Enc", "oding: chunked\r\n\r\n3\r", '\n{"a\r\n4;x=y\r\n":2', "}\r\n0\r\n", "\r\n"],
    ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"],
  ];
  const { client } = scripted(async (_, socket) => {
    for (const piece of answers.shift() ?? []) {
      socket.write(piece);
      await Bun.sleep(2);
    }
  });
  expect(await client.json<unknown>("GET", "/one")).toEqual({ a: 1 });
  expect(await client.json<unknown>("GET", "/two")).toEqual({ a: 2 });
  await client.send("POST", "/three");
  expect(daemon?.connections).toBe(1);
});

test("an answer without length or chunks lasts to the connection's end", async () => {
  const { client } = scripted((_, socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n{"n":1}\n{"n":2}\n{"n"'));
  const seen: unknown[] = [];
  const reading = async () => {
    for await (const message of client.messages("GET", "/events")) seen.push(message);
  };
  await expect(reading()).rejects.toThrow(SyntaxError);
  expect(seen).toEqual([{ n: 1 }, { n: 2 }]);
});

test("a refusal has its status and the daemon's words", async () => {
  const { client } = scripted((_, socket) =>
    socket.write('HTTP/1.1 409 Conflict\r\nContent-Length: 18\r\n\r\n{"message":"busy"}'),
  );
  const refused = client.send("DELETE", "/x");
  await expect(refused).rejects.toBeInstanceOf(ApiError);
  await expect(refused).rejects.toMatchObject({ status: 409, message: "busy" });
});

test("a body is sent in chunks, and a refusal in the middle of it is heard", async () => {
  let refusedAt = 0;
  const { client } = scripted((received, socket) => {
    if (refusedAt > 0 || received.length < 200_000) return;
    refusedAt = received.length;
    socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 17\r\n\r\n{"message":"bad"}');
  });
  let pulled = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled += 65_536;
      if (pulled > 1 << 30) controller.error(new Error("nobody stopped reading"));
      else controller.enqueue(new Uint8Array(65_536));
    },
  });
  await expect(client.send("POST", "/load", { body: endless })).rejects.toMatchObject({ status: 400, message: "bad" });
  expect(refusedAt).toBeGreaterThan(0);
});

test.each([
  ["an answer that stops in the middle", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc", /stopped in the middle/],
  ["a chunk without a size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", /chunk without a size/],
])("%s is an error, not a short answer", async (_, bytes, words) => {
  const { client } = scripted((_, socket) => socket.end(bytes));
  await expect(client.send("GET", "/x")).rejects.toThrow(words);
});

test.each([
  ["no HTTP", "hello\r\n\r\n"],
  ["no answer", ""],
])("%s is a connection error", async (_, bytes) => {
  const { client } = scripted((_, socket) => socket.end(bytes));
  await expect(client.send("GET", "/x")).rejects.toBeInstanceOf(ConnectionError);
});

test("a connection that the daemon closed while it lay idle is not used again", async () => {
  const { client } = scripted((_, socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"));
  await client.json("GET", "/one");
  await Bun.sleep(10);
  expect(await client.json<unknown>("POST", "/two")).toEqual({});
  expect(daemon?.connections).toBe(2);
});

test("who stops reading an answer leaves nothing of it to the next", async () => {
  const { client } = scripted((received, socket) =>
    socket.write(
      received.includes("/long")
        ? `HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"n":1}\n${" ".repeat(100)}`
        : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ),
  );
  for await (const _ of client.messages("GET", "/long")) break;
  expect(await client.json<unknown>("GET", "/short")).toEqual({});
  expect(daemon?.connections).toBe(2);
});
