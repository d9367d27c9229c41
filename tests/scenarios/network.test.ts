import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { noDaemonBecause, run, TestDaemon } from "#tests/fixtures/daemon.ts";

const skip = noDaemonBecause !== null;
if (skip) console.log(`skipped: ${noDaemonBecause}`);

let daemon: TestDaemon;
/** A host of its own, joined to this one by a link: what an outside client sees. */
const outside = `sko${process.pid}`;
const outsideAddress = "198.51.100.2";
const hostAddress = "198.51.100.1";

async function must(words: readonly string[]): Promise<string> {
  const ran = await run(words);
  if (ran.code !== 0) throw new Error(`${words.join(" ")}: ${ran.err}`);
  return ran.out;
}

beforeAll(async () => {
  if (skip) return;
  daemon = await TestDaemon.start();
  await must(["ip", "netns", "add", outside]);
  await must([
    "ip",
    "link",
    "add",
    `h${outside}`.slice(0, 15),
    "type",
    "veth",
    "peer",
    "name",
    "eth0",
    "netns",
    outside,
  ]);
  await must(["ip", "addr", "add", `${hostAddress}/24`, "dev", `h${outside}`.slice(0, 15)]);
  await must(["ip", "link", "set", `h${outside}`.slice(0, 15), "up"]);
  await must(["ip", "-n", outside, "addr", "add", `${outsideAddress}/24`, "dev", "eth0"]);
  await must(["ip", "-n", outside, "link", "set", "eth0", "up"]);
  await must(["ip", "-n", outside, "route", "add", "default", "via", hostAddress]);
});
afterEach(async () => {
  if (!skip) await daemon.clear();
});
afterAll(async () => {
  if (skip) return;
  await must(["ip", "netns", "del", outside]);
  expect(await daemon.leftovers()).toEqual([]);
  await daemon[Symbol.asyncDispose]();
});

/** A free port of this host. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function web(name: string, publish: readonly string[]): Promise<void> {
  const ran = await daemon.skiff(["run", "-d", "--name", name, ...publish.flatMap((spec) => ["-p", spec]), "web:test"]);
  if (ran.code !== 0) throw new Error(ran.err);
  await Bun.sleep(150);
}

const page = "hello from web\n";
const get = async (url: string) => (await run(["curl", "-sS", "-m", "5", url])).out;
const getOutside = async (url: string) =>
  (await run(["ip", "netns", "exec", outside, "curl", "-sS", "-m", "5", url])).out;

describe.skipIf(skip)("published ports", () => {
  test("reach the container from loopback, the host's addresses, other hosts, other containers and itself", async () => {
    const port = await freePort();
    await web("web", [`${port}:80`]);
    expect(await get(`http://127.0.0.1:${port}/`)).toBe(page);
    expect(await get(`http://localhost:${port}/`)).toBe(page);
    expect(await get(`http://${hostAddress}:${port}/`)).toBe(page);
    if (
      Object.values(networkInterfaces())
        .flat()
        .some((address) => address?.address === "::1")
    )
      expect(await get(`http://[::1]:${port}/`)).toBe(page);
    expect(await getOutside(`http://${hostAddress}:${port}/`)).toBe(page);
    const fetchInside = ["wget", "-q", "-O", "-", `http://${hostAddress}:${port}/`];
    expect((await daemon.skiff(["run", "--rm", "busybox:test", ...fetchInside])).out).toBe(page);
    expect((await daemon.skiff(["exec", "web", ...fetchInside])).out).toBe(page);
    expect((await daemon.skiff(["port", "web"])).out).toContain(`80/tcp -> 0.0.0.0:${port}`);
  });

  test("keep the client's source address", async () => {
    const port = await freePort();
    await daemon.skiff(["run", "-d", "--name", "who", "-p", `${port}:80`, "busybox:test", "sleep", "100"]);
    const netns = (await daemon.skiff(["inspect", "-f", "{{.NetworkSettings.SandboxKey}}", "who"])).out.trim();
    const program = "require('node:net').createServer((s) => s.end(s.remoteAddress)).listen(80, '0.0.0.0')";
    const server = Bun.spawn(["nsenter", `--net=${netns}`, process.execPath, "-e", program], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    await Bun.sleep(400);
    const answer = await run([
      "ip",
      "netns",
      "exec",
      outside,
      "curl",
      "-s",
      "--http0.9",
      "-m",
      "5",
      `http://${hostAddress}:${port}/`,
    ]);
    expect(answer.out).toContain(outsideAddress);
    server.kill();
    await server.exited;
  });

  test("on one address are not reached through another", async () => {
    const port = await freePort();
    await web("local", [`127.0.0.1:${port}:80`]);
    expect(await get(`http://127.0.0.1:${port}/`)).toBe(page);
    expect(await getOutside(`http://${hostAddress}:${port}/`)).toBe("");
    const other = await freePort();
    await web("outer", [`${hostAddress}:${other}:80`]);
    expect(await getOutside(`http://${hostAddress}:${other}/`)).toBe(page);
    expect(await get(`http://127.0.0.1:${other}/`)).toBe("");
  });

  test("UDP, answered from the container's own address space", async () => {
    const port = await freePort();
    await daemon.skiff(["run", "-d", "--name", "udp", "-p", `${port}:5000/udp`, "busybox:test", "sleep", "100"]);
    const netns = (await daemon.skiff(["inspect", "-f", "{{.NetworkSettings.SandboxKey}}", "udp"])).out.trim();
    const program =
      "await Bun.udpSocket({ port: 5000, socket: { data(s, b, p, a) { s.send('answer to ' + a, p, a); } } })";
    const server = Bun.spawn(["nsenter", `--net=${netns}`, process.execPath, "-e", program], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    await Bun.sleep(400);
    for (const address of ["127.0.0.1", hostAddress]) {
      const answer = Promise.withResolvers<string>();
      const client = await Bun.udpSocket({
        connect: { hostname: address, port },
        socket: { data: (_, bytes) => answer.resolve(bytes.toString()) },
      });
      client.send("hi");
      expect(
        await Promise.race([answer.promise, Bun.sleep(3000).then(() => `no answer through ${address}`)]),
      ).toContain("answer to ");
      client.close();
    }
    server.kill();
    await server.exited;
  });

  test("a second claim fails with Docker's words, whoever holds the port", async () => {
    const port = await freePort();
    await web("first", [`${port}:80`]);
    const second = await daemon.skiff(["run", "--rm", "-p", `${port}:80`, "web:test"]);
    expect(second.code).toBe(125);
    expect(second.err).toMatch(
      new RegExp(
        `driver failed programming external connectivity on endpoint \\S+ \\([0-9a-f]{64}\\): Bind for 0\\.0\\.0\\.0:${port} failed: port is already allocated`,
      ),
    );
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
    const { port: foreign } = server.address() as { port: number };
    const third = await daemon.skiff(["run", "--rm", "-p", `${foreign}:80`, "web:test"]);
    expect(third.err).toContain(`failed to bind host port for 0.0.0.0:${foreign}:`);
    expect(third.err).toContain("address already in use");
    await new Promise((resolve) => server.close(resolve));
    // Held for real: nobody else gets it either.
    const rival = createServer();
    const refused = await new Promise<boolean>((resolve) => {
      rival.once("error", () => resolve(true));
      rival.listen(port, "0.0.0.0", () => resolve(false));
    });
    expect(refused).toBe(true);
    await daemon.skiff(["rm", "-f", "first"]);
    await web("again", [`${port}:80`]);
    expect(await get(`http://127.0.0.1:${port}/`)).toBe(page);
  });

  test("ranges, random ports and -P", async () => {
    const ran = await daemon.skiff(["run", "-d", "--name", "any", "-P", "-p", "80", "web:test"]);
    expect(ran.code).toBe(0);
    const { out } = await daemon.skiff(["port", "any", "80"]);
    const port = Number(/0\.0\.0\.0:(\d+)/.exec(out)?.[1]);
    await Bun.sleep(150);
    expect(await get(`http://127.0.0.1:${port}/`)).toBe(page);
    const base = await freePort();
    await daemon.skiff(["run", "-d", "--name", "range", "-p", `${base}-${base + 1}:80-81`, "web:test"]);
    expect((await daemon.skiff(["ps", "--filter", "name=range", "--format", "{{.Ports}}"])).out).toContain(
      `0.0.0.0:${base}-${base + 1}->80-81/tcp`,
    );
  });
});

describe.skipIf(skip)("the bridge", () => {
  test("containers reach each other, the host and the way out; unpublished ports are closed to other hosts", async () => {
    await web("server", []);
    const address = (await daemon.skiff(["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "server"])).out.trim();
    expect(
      (await daemon.skiff(["run", "--rm", "busybox:test", "wget", "-q", "-O", "-", `http://${address}/`])).out,
    ).toBe(page);
    expect(
      (await daemon.skiff(["run", "--rm", "busybox:test", "ping", "-c", "1", "-W", "2", outsideAddress])).out,
    ).toContain("1 packets received");
    expect(await getOutside(`http://${address}/`)).toBe("");
  });

  test("nothing in a container reaches the host's loopback", async () => {
    const server = createServer((socket) => socket.end("secret"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const script = `ip route add 127.0.0.0/8 via $(ip route | awk '/default/{print $3}') 2>/dev/null; ip addr del 127.0.0.1/8 dev lo; nc -w 2 127.0.0.1 ${port} </dev/null`;
    const ran = await daemon.skiff(["run", "--rm", "--cap-add", "NET_ADMIN", "busybox:test", "sh", "-c", script]);
    expect(ran.out).not.toContain("secret");
    await new Promise((resolve) => server.close(resolve));
  });

  test("files under /etc: hosts, hostname, resolv.conf", async () => {
    const flags = [
      "--hostname",
      "named",
      "--add-host",
      "db:10.1.2.3",
      "--dns",
      "10.9.8.7",
      "--dns-search",
      "example.test",
      "--dns-option",
      "ndots:3",
    ];
    const { out } = await daemon.skiff([
      "run",
      "--rm",
      ...flags,
      "busybox:test",
      "cat",
      "/etc/hosts",
      "/etc/hostname",
      "/etc/resolv.conf",
    ]);
    expect(out).toContain("10.1.2.3\tdb");
    expect(out).toMatch(/\d+\.\d+\.\d+\.\d+\tnamed/);
    expect(out).toContain("nameserver 10.9.8.7");
    expect(out).toContain("search example.test");
    expect(out).toContain("options ndots:3");
  });

  test("MAC address as asked; host network sees the host", async () => {
    const mac = "02:11:22:33:44:55";
    expect(
      (await daemon.skiff(["run", "--rm", "--mac-address", mac, "busybox:test", "cat", "/sys/class/net/eth0/address"]))
        .out,
    ).toBe(`${mac}\n`);
    expect(
      (await daemon.skiff(["run", "--rm", "--network", "host", "busybox:test", "ls", "/sys/class/net"])).out,
    ).toContain(daemon.names.bridge);
    const unknown = await daemon.skiff(["run", "--rm", "--network", "nowhere", "busybox:test", "true"]);
    expect(unknown.code).toBe(125);
    expect(unknown.err).toContain("network nowhere not found");
  });

  test("rules of others stay as they are", async () => {
    const rules = () =>
      must(["nft", "-s", "list", "ruleset"]).then((text) =>
        text.replace(new RegExp(`table inet ${daemon.names.table} \\{[\\s\\S]*?\\n\\}\\n`), ""),
      );
    await must(["nft", "add", "table", "ip", `t${outside}`]);
    const before = await rules();
    await web("rules", [`${await freePort()}:80`]);
    await daemon.clear();
    expect(await rules()).toBe(before);
    await must(["nft", "delete", "table", "ip", `t${outside}`]);
  });
});
