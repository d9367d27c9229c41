import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { FrameDecoder } from "#spec/engine-api/frame.ts";
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

/** Writes bytes to the socket and reads until the daemon closes, or for a while. */
async function raw(request: string, after: string | null = null, patienceMs = 3000): Promise<string> {
  const socket = connect({ path: daemon.socket, allowHalfOpen: true });
  let answer = "";
  socket.on("data", (chunk) => {
    answer += chunk.toString("latin1");
  });
  const ended = new Promise<void>((resolve) => {
    socket.on("end", resolve);
    socket.on("close", () => resolve());
    socket.on("error", () => resolve());
  });
  socket.write(request);
  if (after !== null) {
    await Bun.sleep(150);
    socket.write(after);
    socket.end();
  }
  await Promise.race([ended, Bun.sleep(patienceMs)]);
  socket.destroy();
  return answer;
}

const json = async (response: Response) => (await response.json()) as Record<string, unknown>;
const create = async (body: object) =>
  String((await json(await daemon.api("POST", "/containers/create", { Image: "busybox:test", ...body }))).Id);

describe.skipIf(skip)("the API", () => {
  test("ping, headers, versions", async () => {
    for (const path of ["/_ping", "/v1.24/_ping", "/v1.56/_ping"]) {
      const response = await daemon.api("GET", path);
      expect(response.status).toBe(200);
      expect(await response.text()).toBe("OK");
      expect(response.headers.get("Api-Version")).toBe("1.56");
      expect(response.headers.get("Docker-Experimental")).toBe("false");
      expect(response.headers.get("Ostype")).toBe("linux");
      expect(response.headers.get("Server")).toMatch(/^Skiff\//);
    }
    const head = await daemon.api("HEAD", "/_ping");
    expect(head.status).toBe(200);
    expect(await head.text()).toBe("");
    expect(await json(await daemon.api("GET", "/v1.57/info"))).toEqual({
      message: "client version 1.57 is too new. Maximum supported API version is 1.56",
    });
    expect((await daemon.api("GET", "/v1.23/info")).status).toBe(400);
    expect((await json(await daemon.api("GET", "/v1.41/version"))).ApiVersion).toBe("1.56");
    expect((await json(await daemon.api("GET", "/info"))).Swarm).toMatchObject({ LocalNodeState: "inactive" });
    expect((await daemon.api("GET", "/swarm")).status).toBe(503);
    expect(await (await daemon.api("GET", "/plugins")).json()).toEqual([]);
  });

  test.each([
    // method, path, body, status, part of the message
    ["GET", "/nope", undefined, 404, "page not found"],
    ["GET", "/containers/none/json", undefined, 404, "No such container: none"],
    ["POST", "/containers/none/start", undefined, 404, "No such container: none"],
    ["DELETE", "/containers/none", undefined, 404, "No such container: none"],
    ["GET", "/images/none/json", undefined, 404, "No such image: none:latest"],
    ["GET", "/images/UPPER/json", undefined, 400, "must be lowercase"],
    ["GET", "/volumes/none", undefined, 404, "get none: no such volume"],
    ["GET", "/networks/nowhere", undefined, 404, "network nowhere not found"],
    ["GET", "/exec/none/json", undefined, 404, "No such exec instance: none"],
    [
      "POST",
      "/containers/create",
      { Image: 5 },
      400,
      "cannot unmarshal number into Go struct field CreateRequest.Image of type string",
    ],
    [
      "POST",
      "/containers/create",
      { Image: "busybox:test", HostConfig: { Memory: "1g" } },
      400,
      "CreateRequest.HostConfig.Memory of type int64",
    ],
    [
      "POST",
      "/containers/create",
      { Image: "busybox:test", HostConfig: { Memory: 4096 } },
      400,
      "Minimum memory limit allowed is 6MB",
    ],
    ["POST", "/containers/create", { Image: "nope:nope" }, 404, "No such image: nope:nope"],
    ["POST", "/containers/create?name=a/b", { Image: "busybox:test" }, 400, "Invalid container name (a/b)"],
    [
      "POST",
      "/containers/create",
      { Image: "busybox:test", HostConfig: { Binds: ["/a:b"] } },
      400,
      "invalid volume specification: '/a:b'",
    ],
    [
      "POST",
      "/containers/create",
      { Image: "busybox:test", HostConfig: { PortBindings: { "x/tcp": [{}] } } },
      400,
      "invalid port specification",
    ],
    ["GET", "/containers/json?filters=nonsense", undefined, 400, "invalid filter"],
    ["GET", '/containers/json?filters={"color":["red"]}', undefined, 400, "invalid filter 'color'"],
    ["POST", "/volumes/create", { Name: "../x" }, 400, "includes invalid characters for a local volume name"],
  ] as [string, string, unknown, number, string][])(
    "%s %s %j is refused",
    async (method, path, body, status, message) => {
      const response = await daemon.api(method, path, body);
      expect({ status: response.status, message: (await json(response)).message }).toEqual({
        status,
        message: expect.stringContaining(message) as unknown as string,
      });
    },
  );

  test("malformed JSON and another content type are refused; unknown fields are passed over", async () => {
    const send = (body: string, type: string) =>
      fetch("http://localhost/containers/create", {
        method: "POST",
        unix: daemon.socket,
        body,
        headers: { "Content-Type": type },
      });
    expect((await send("{", "application/json")).status).toBe(400);
    expect((await json(await send("{}", "text/plain"))).message).toContain(
      "unsupported Content-Type header (text/plain): must be 'application/json'",
    );
    expect((await send("", "application/json")).status).toBe(400);
    const id = await create({ Cmd: ["true"], NoSuchField: { a: 1 } });
    expect(id).toMatch(/^[0-9a-f]{64}$/);
  });

  test("start twice is 304, remove while running is 409, stop twice is 304", async () => {
    const id = await create({ Cmd: ["sleep", "100"] });
    expect((await daemon.api("POST", `/containers/${id}/start`)).status).toBe(204);
    expect((await daemon.api("POST", `/containers/${id}/start`)).status).toBe(304);
    expect((await daemon.api("DELETE", `/containers/${id}`)).status).toBe(409);
    expect((await daemon.api("POST", `/containers/${id}/kill?signal=NOPE`)).status).toBe(400);
    expect((await daemon.api("POST", `/containers/${id}/stop?t=0`)).status).toBe(204);
    expect((await daemon.api("POST", `/containers/${id}/stop`)).status).toBe(304);
    expect((await daemon.api("POST", `/containers/${id}/kill`)).status).toBe(409);
    expect((await daemon.api("DELETE", `/containers/${id}`)).status).toBe(204);
  });

  test.each([
    ["with an upgrade", "Connection: Upgrade\r\nUpgrade: tcp\r\n", /^HTTP\/1\.1 101 UPGRADED\r\n/],
    ["without", "", /^HTTP\/1\.1 200 OK\r\nContent-Type: application\/vnd\.docker\.(raw|multiplexed)-stream\r\n/],
  ])("attach is hijacked %s; half-close is kept, frames are Docker's", async (_, headers, head) => {
    const id = await create({
      Cmd: ["sh", "-c", "cat; echo err >&2"],
      OpenStdin: true,
      StdinOnce: true,
      AttachStdin: true,
    });
    const answer = raw(
      `POST /v1.41/containers/${id}/attach?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: x\r\n${headers}\r\n`,
      "typed",
    );
    await Bun.sleep(50);
    await daemon.api("POST", `/containers/${id}/start`);
    const text = await answer;
    expect(text).toMatch(head);
    const frames = [...new FrameDecoder().push(Buffer.from(text.slice(text.indexOf("\r\n\r\n") + 4), "latin1"))].map(
      ({ kind, bytes }) => `${kind} ${Buffer.from(bytes).toString()}`,
    );
    expect(frames).toEqual(["stdout typed", "stderr err\n"]);
  });

  test("a request's body does not leak into an upgraded exec", async () => {
    const id = await create({ Cmd: ["sleep", "100"] });
    await daemon.api("POST", `/containers/${id}/start`);
    const { Id: exec } = await json(
      await daemon.api("POST", `/containers/${id}/exec`, { AttachStdin: true, AttachStdout: true, Cmd: ["cat"] }),
    );
    const body = '{"Detach":false,"Tty":false}';
    const answer = await raw(
      `POST /exec/${exec}/start HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n${body}`,
      "typed",
    );
    expect(answer.split("\r\n\r\n")[1]).toBe("\x01\0\0\0\0\0\0\x05typed");
    await daemon.api("DELETE", `/containers/${id}?force=1`);
  });

  test("a client that does not read holds the container back, not the daemon's memory; its going is noticed", async () => {
    const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, "utf8"))?.[1]) / 1024;
    const id = await create({
      Cmd: ["sh", "-c", "head -c 400000000 /dev/zero; echo done >&2; sleep 100"],
      HostConfig: { LogConfig: { Config: { "max-size": "1m" } } },
    });
    const socket = connect(daemon.socket);
    socket.pause();
    socket.write(
      `POST /containers/${id}/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`,
    );
    await Bun.sleep(200);
    const before = rss();
    await daemon.api("POST", `/containers/${id}/start`);
    await Bun.sleep(2500);
    expect(rss() - before).toBeLessThan(60);
    socket.destroy();
    expect((await daemon.api("DELETE", `/containers/${id}?force=1`)).status).toBe(204);
  });

  test("events come as they happen and since a time; filters hold", async () => {
    const since = Math.floor(Date.now() / 1000) - 1;
    const id = await create({ Cmd: ["true"], Labels: { tested: "yes" } });
    await daemon.api("POST", `/containers/${id}/start`);
    await daemon.api("POST", `/containers/${id}/wait`);
    await Bun.sleep(100);
    await daemon.api("DELETE", `/containers/${id}`);
    const until = Math.floor(Date.now() / 1000) + 1;
    const response = await daemon.api(
      "GET",
      `/events?since=${since}&until=${until}&filters=${encodeURIComponent(JSON.stringify({ label: ["tested=yes"] }))}`,
    );
    const actions = (await response.text())
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { Action: string }).Action);
    expect(actions).toEqual(["create", "start", "die", "destroy"]);
  });

  test("what disconnects in the middle of a load leaves nothing", async () => {
    const before = await (await daemon.api("GET", "/images/json")).text();
    const socket = connect(daemon.socket);
    socket.write(
      "POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\nContent-Length: 1000000\r\n\r\nhalf a tar",
    );
    await Bun.sleep(100);
    socket.destroy();
    await Bun.sleep(200);
    expect(await (await daemon.api("GET", "/images/json")).text()).toBe(before);
    const broken = await daemon.skiff(["load"], { stdin: Buffer.alloc(700, 1) });
    expect(broken.code).toBe(1);
    expect(broken.err).toMatch(/EOF|archive\/tar: invalid/);
  });

  test("older clients get the fields they know", async () => {
    const newer = (await (await daemon.api("GET", "/v1.50/images/json")).json()) as Record<string, unknown>[];
    const older = (await (await daemon.api("GET", "/v1.40/images/json")).json()) as Record<string, unknown>[];
    expect("VirtualSize" in (newer[0] ?? {})).toBe(false);
    expect(older[0]?.VirtualSize).toBe(older[0]?.Size);
  });
});
