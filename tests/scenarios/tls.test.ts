import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { noDaemonBecause, run, TestDaemon } from "#tests/fixtures/daemon.ts";

const skip = noDaemonBecause !== null || Bun.which("openssl") === null;
if (skip) console.log(`skipped: ${noDaemonBecause ?? "needs openssl"}`);

const certificates = mkdtempSync(join(tmpdir(), "skiff-tls-"));
let daemon: TestDaemon;
let port = 0;

async function openssl(...words: string[]): Promise<void> {
  const ran = await run(["openssl", ...words], { cwd: certificates });
  if (ran.code !== 0) throw new Error(ran.err);
}

beforeAll(async () => {
  if (skip) return;
  await openssl(
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-days",
    "2",
    "-subj",
    "/CN=test ca",
    "-keyout",
    "ca-key.pem",
    "-out",
    "ca.pem",
  );
  for (const name of ["server", "client"]) {
    await openssl(
      "req",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-subj",
      `/CN=${name}`,
      "-addext",
      "subjectAltName=IP:127.0.0.1",
      "-keyout",
      `${name}-key.pem`,
      "-out",
      `${name}.csr`,
    );
    await openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca-key.pem",
      "-CAcreateserial",
      "-days",
      "2",
      "-copy_extensions",
      "copy",
      "-out",
      `${name}-cert.pem`,
    );
  }
  const free = createServer();
  await new Promise<void>((resolve) => free.listen(0, "127.0.0.1", resolve));
  ({ port } = free.address() as { port: number });
  await new Promise((resolve) => free.close(resolve));
  const at = (name: string) => join(certificates, name);
  daemon = await TestDaemon.start({
    flags: [
      "-H",
      `tcp://127.0.0.1:${port}`,
      "--tlsverify",
      "--tlscacert",
      at("ca.pem"),
      "--tlscert",
      at("server-cert.pem"),
      "--tlskey",
      at("server-key.pem"),
    ],
  });
});
afterAll(async () => {
  rmSync(certificates, { recursive: true, force: true });
  if (!skip) await daemon[Symbol.asyncDispose]();
});

test.skipIf(skip)("clients with a certificate are served, by both command lines; others are not", async () => {
  const at = (name: string) => join(certificates, name);
  const flags = [
    "-H",
    `tcp://127.0.0.1:${port}`,
    "--tlsverify",
    "--tlscacert",
    at("ca.pem"),
    "--tlscert",
    at("client-cert.pem"),
    "--tlskey",
    at("client-key.pem"),
  ];
  const main = join(import.meta.dir, "../../src/main.ts");
  const clis = [[process.execPath, main], ...(Bun.which("docker") === null ? [] : [["docker"]])];
  for (const cli of clis) {
    const ran = await run([...cli, ...flags, "run", "--rm", "-i", "busybox:test", "cat"], { stdin: "over tls" });
    expect({ cli: cli.at(-1), ...ran }).toEqual({ cli: cli.at(-1), code: 0, out: "over tls", err: "" });
  }
  const stranger = await run(["curl", "-sS", "-m", "5", "--cacert", at("ca.pem"), `https://127.0.0.1:${port}/_ping`]);
  expect(stranger.out).toBe("");
  expect(stranger.code).not.toBe(0);
  const plain = await run(["curl", "-sS", "-m", "5", `http://127.0.0.1:${port}/_ping`]);
  expect(plain.out).toBe("");
});
