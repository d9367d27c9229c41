import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { CliError, command } from "../command.ts";
import { completionScript } from "../completion-scripts.ts";

const unitPath = "/etc/systemd/system/skiff.service";
const completionPaths: Record<string, string> = {
  bash: "/usr/share/bash-completion/completions/skiff",
  zsh: "/usr/share/zsh/vendor-completions/_skiff",
  fish: "/usr/share/fish/vendor_completions.d/skiff.fish",
};

/** The unit: containers belong to their monitors, so a stop of the daemon ends the daemon alone. */
export function systemdUnit(program: string): string {
  return `[Unit]
Description=Skiff container engine
After=network-online.target nss-lookup.target
Wants=network-online.target

[Service]
Type=notify
NotifyAccess=all
Environment=UV_THREADPOOL_SIZE=16
ExecStart=${program} daemon
ExecReload=/bin/kill -s HUP $MAINPID
TimeoutStartSec=0
Restart=always
RestartSec=2
KillMode=process
Delegate=yes
LimitNOFILE=infinity
TasksMax=infinity
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
`;
}

export const install = command({
  path: "install",
  usage: "",
  summary: "Set this machine up: systemd unit, group, shell completions",
  args: { min: 0, max: 0 },
  flags: {
    prefix: { kind: "string", help: "Write below this directory instead of /, and touch neither groups nor systemd" },
    "dry-run": { kind: "bool", help: "Say what would be done, do nothing" },
  },
  async run({ flags, out }) {
    const prefix = flags.prefix === undefined ? "/" : resolve(flags.prefix);
    const real = prefix === "/";
    if (real && !flags["dry-run"] && process.getuid?.() !== 0)
      throw new CliError("skiff install needs root: it writes a systemd unit and a group", 1);
    const write = (path: string, content: string) => {
      const target = join(prefix, path);
      const same = existsSync(target) && readFileSync(target, "utf8") === content;
      out.line(same ? `${target}: as it should be` : `${flags["dry-run"] ? "would write" : "writing"} ${target}`);
      if (same || flags["dry-run"]) return;
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, content);
    };
    write(unitPath, systemdUnit(programPath()));
    for (const [shell, path] of Object.entries(completionPaths)) write(path, await completionScript(shell));
    if (!real) return;
    ensureGroup(out.line, flags["dry-run"]);
    enableUnit(out.line, flags["dry-run"]);
  },
});

/** What a unit can start: the compiled program, or the launcher beside the sources. */
function programPath(): string {
  if (Bun.main.startsWith("/$bunfs/")) return process.execPath;
  return resolve(dirname(Bun.main), "..", "skiff");
}

function ensureGroup(say: (text: string) => void, dryRun: boolean): void {
  if (/^docker:/m.test(readFileSync("/etc/group", "utf8"))) {
    say("group docker: there already; its members may use the socket");
    return;
  }
  say(`${dryRun ? "would add" : "adding"} the group docker, whose members may use the socket`);
  if (dryRun) return;
  const { exitCode, stderr } = Bun.spawnSync(["groupadd", "--system", "docker"]);
  if (exitCode !== 0) throw new CliError(`groupadd failed: ${stderr.toString().trim()}`, 1);
}

function enableUnit(say: (text: string) => void, dryRun: boolean): void {
  if (!existsSync("/run/systemd/system")) {
    say("systemd does not run here: start the daemon with `skiff daemon`, or let the first command as root start it");
    return;
  }
  say(`${dryRun ? "would enable" : "enabling"} and start skiff.service`);
  if (dryRun) return;
  for (const words of [["daemon-reload"], ["enable", "--now", "skiff.service"]]) {
    const { exitCode, stderr } = Bun.spawnSync(["systemctl", ...words]);
    if (exitCode !== 0) throw new CliError(`systemctl ${words.join(" ")} failed: ${stderr.toString().trim()}`, 1);
  }
}
