/** Specs of ours run by crun on a tiny root file system, and read back from inside. */
import { expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "#base/ids.ts";
import { silentLogger } from "#base/log.ts";
import type { ContainerConfig, HostConfig } from "#spec/engine-api/container.ts";
import { Metadata } from "#store/metadata/metadata.ts";
import { openVolumes } from "#subsystems/volume/local-volumes.ts";
import { createSandboxBuilder } from "./builder.ts";

const able = process.getuid?.() === 0 && existsSync("/usr/bin/crun") && existsSync("/bin/busybox");

async function runIn(
  script: string,
  config: Partial<ContainerConfig>,
  hostConfig: HostConfig,
  arrange?: (rootfs: string) => void,
) {
  const base = mkdtempSync(join(tmpdir(), "skiff-sandbox-"));
  const id = newId();
  const metadata = Metadata.open(":memory:");
  try {
    const rootfs = join(base, "bundle", "rootfs");
    mkdirSync(join(rootfs, "bin"), { recursive: true });
    mkdirSync(join(rootfs, "etc"));
    copyFileSync("/bin/busybox", join(rootfs, "bin/busybox"));
    symlinkSync("busybox", join(rootfs, "bin/sh"));
    writeFileSync(join(rootfs, "etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n");
    writeFileSync(join(rootfs, "etc/group"), "root:x:0:\napp:x:1000:\nextra:x:2000:app\naudio:x:29:\n");
    arrange?.(rootfs);
    const volumes = await openVolumes({ root: join(base, "volumes"), metadata, log: silentLogger, news: () => {} });
    const builder = createSandboxBuilder({ volumes, log: silentLogger });
    const full: ContainerConfig = {
      Image: "x",
      Hostname: "box",
      Cmd: ["/bin/sh", "-c", `/bin/busybox --install -s /bin; ${script}`],
      ...config,
    };
    const host: HostConfig = { NetworkMode: "none", ...hostConfig };
    builder.check(full, host);
    const mounts = await builder.resolveMounts({ id, config: full, hostConfig: host, volumesFrom: () => [] });
    const request = {
      id,
      config: full,
      hostConfig: host,
      networking: {},
      network: { endpoints: {}, ports: {} },
      rootfs,
      filesDirectory: join(base, "files"),
      mounts,
      peers: {},
      cgroupParent: "/skiff-sandbox-test",
      cgroupVersion: 1 as const,
    };
    await builder.prepare(request);
    writeFileSync(join(base, "bundle", "config.json"), JSON.stringify(await builder.spec(request)));
    const run = Bun.spawnSync(["crun", "--root", join(base, "crun"), "run", "-b", join(base, "bundle"), id]);
    return { out: run.stdout.toString(), err: run.stderr.toString(), code: run.exitCode, rootfs, base };
  } finally {
    metadata.close();
    rmSync(base, { recursive: true, force: true });
  }
}

test.skipIf(!able)("capabilities, seccomp, limits, mounts as seen from inside", async () => {
  const { out, err } = await runIn(
    "grep -E '^(Cap|Seccomp:|NoNew|Groups)' /proc/self/status; ulimit -n; hostname; cat /proc/mounts; pwd; echo $HOME; cat /vol/x",
    { WorkingDir: "/work/dir" },
    {
      Ulimits: [{ Name: "nofile", Soft: 64, Hard: 128 }],
      Tmpfs: { "/scratch": "size=1m" },
      Binds: ["data:/vol:ro"],
      Init: true,
      Memory: 32 << 20,
      NanoCpus: 5e8,
      PidsLimit: 50,
      SecurityOpt: ["no-new-privileges"],
    },
    (rootfs) => {
      mkdirSync(join(rootfs, "vol"));
      writeFileSync(join(rootfs, "vol/x"), "copied-up");
    },
  );
  expect(err).toBe("");
  expect(out).toContain("CapBnd:\t00000000a80425fb");
  expect(out).toContain("CapEff:\t00000000a80425fb");
  expect(out).toContain("Seccomp:\t2");
  expect(out).toContain("NoNewPrivs:\t1");
  expect(out).toMatch(/^64$/m);
  expect(out).toContain("tmpfs /scratch tmpfs rw,nosuid,nodev,noexec");
  expect(out).toMatch(/ \/vol \S+ ro/);
  expect(out).toMatch(/^\/work\/dir$/m);
  expect(out).toContain("copied-up");
});

test.skipIf(!able)("a named user with its groups has no effective capabilities", async () => {
  const { out, err } = await runIn(
    "id; echo $HOME; grep CapEff /proc/self/status",
    { User: "app", Cmd: ["/bin/busybox", "sh", "-c", "busybox id; echo $HOME; busybox grep CapEff /proc/self/status"] },
    { GroupAdd: ["audio"] },
  );
  expect(err).toBe("");
  expect(out).toContain("uid=1000(app) gid=1000(app) groups=29(audio),1000(app),2000(extra)");
  expect(out).toContain("/home/app");
  expect(out).toContain("CapEff:\t0000000000000000");
});

test.skipIf(!able)("links in the image never lead out", async () => {
  await expect(
    runIn("true", { User: "nobody" }, {}, (rootfs) => {
      rmSync(join(rootfs, "etc/passwd"));
      symlinkSync("/../../../../etc/hostname/../passwd", join(rootfs, "etc/passwd"));
    }),
  ).rejects.toThrow("unable to find user nobody");
  const outside = `/tmp/skiff-outside-${newId().slice(0, 8)}`;
  await runIn("true", { WorkingDir: `/link${outside}` }, {}, (rootfs) => symlinkSync("/", join(rootfs, "link")));
  expect(existsSync(outside)).toBe(false);
});

test.skipIf(!able)("a privileged container has all we have, and no filter", async () => {
  const { out } = await runIn("grep -E 'CapEff|Seccomp:' /proc/self/status", {}, { Privileged: true });
  const own = /^CapEff:.*$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[0] ?? "";
  expect(out).toContain(own);
  expect(out).toContain("Seccomp:\t0");
});
