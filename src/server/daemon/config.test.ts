import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { instanceNames, loadConfig, parseListen } from "./config.ts";
import { parseDaemonFlags } from "./flags.ts";

function withFile<T>(content: string, use: (path: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), "skiff-config-"));
  const path = join(directory, "daemon.json");
  writeFileSync(path, content);
  try {
    return use(path);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe("daemon flags", () => {
  test.each([
    [["--nope"], "unknown flag: --nope"],
    [["-Z"], "unknown shorthand flag: 'Z' in -Z"],
    [["--data-root"], "flag needs an argument: --data-root"],
    [["--debug=maybe"], 'invalid argument "maybe" for "--debug" flag'],
    [["stray"], 'unexpected argument "stray"'],
  ])("%j is refused", (argv, message) => {
    expect(() => parseDaemonFlags(argv)).toThrow(message);
  });

  test("repeat, join and attach as dockerd's do", () => {
    expect(parseDaemonFlags(["-H", "unix:///a", "-Hunix:///b", "--host=unix:///c", "-D"])).toEqual({
      host: ["unix:///a", "unix:///b", "unix:///c"],
      debug: true,
    });
  });
});

describe("daemon configuration", () => {
  test("an empty file and no flags give the defaults", () => {
    withFile("{}", (path) => {
      const config = loadConfig(parseDaemonFlags([`--config-file=${path}`]));
      expect(config).toMatchObject({
        dataRoot: "/var/lib/skiff",
        execRoot: "/run/skiff",
        listen: [{ kind: "unix", path: "/run/skiff.sock" }],
        logLevel: "info",
        tls: null,
      });
      expect(config.names).toMatchObject({ bridge: "skiff0", table: "skiff", cgroupParent: "/skiff" });
    });
  });

  test.each([
    ["{", "unable to configure the Skiff daemon with file"],
    ["[]", "want a JSON object"],
    ['{"data-rot": "/x"}', "the following directives don't match any configuration option: data-rot"],
    ['{"debug": "yes"}', '"debug" wants a boolean'],
    ['{"hosts": "unix:///x"}', '"hosts" wants a list of strings'],
    ['{"data-root": "relative"}', "data-root must be an absolute path"],
    ['{"log-level": "loud"}', "unable to parse logging level: loud"],
  ])("%s is refused", (content, message) => {
    withFile(content, (path) => expect(() => loadConfig(parseDaemonFlags([`--config-file=${path}`]))).toThrow(message));
  });

  test("a directive in file and flags is refused", () => {
    withFile('{"data-root": "/a"}', (path) => {
      expect(() => loadConfig(parseDaemonFlags([`--config-file=${path}`, "--data-root=/b"]))).toThrow(
        "specified both as a flag and in the configuration file: data-root",
      );
    });
  });

  test.each([
    ["tcp://0.0.0.0:2375", [], "refusing to serve"],
    ["tcp://10.0.0.1:2375", ["--tls", "--tlscert=/c", "--tlskey=/k"], "refusing to serve"],
    ["tcp://127.0.0.1:2375", [], null],
    ["tcp://0.0.0.0:2376", ["--tlsverify", "--tlscacert=/a", "--tlscert=/c", "--tlskey=/k"], null],
    ["tcp://0.0.0.0:2375", ["--force-insecure-tcp"], null],
  ] as [string, string[], string | null][])("%s with %j", (host, flags, message) => {
    withFile("{}", (path) => {
      const load = () => loadConfig(parseDaemonFlags([`--config-file=${path}`, "-H", host, ...flags]));
      if (message === null) expect(load().listen).toHaveLength(1);
      else expect(load).toThrow(message);
    });
  });

  test.each([
    ["unix:///run/x.sock", { kind: "unix", path: "/run/x.sock" }],
    ["unix://", { kind: "unix", path: "/run/skiff.sock" }],
    ["tcp://:2375", { kind: "tcp", host: "127.0.0.1", port: 2375 }],
    ["tcp://[::1]:2375", { kind: "tcp", host: "::1", port: 2375 }],
    ["fd://", { kind: "fd", fd: 3 }],
  ])("parseListen(%s)", (text, listen) => {
    expect(parseListen(text)).toEqual(listen as never);
  });

  test.each(["ftp://x", "tcp://host", "tcp://h:99999", "unix://relative"])("parseListen(%s) is refused", (text) => {
    expect(() => parseListen(text)).toThrow();
  });

  test("two data-roots share no name", () => {
    const [a, b] = [instanceNames("/a"), instanceNames("/b")];
    for (const key of ["bridge", "table", "linkPrefix", "cgroupParent"] as const) expect(a[key]).not.toBe(b[key]);
  });
});
