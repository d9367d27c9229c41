/** Tells systemd that the daemon serves. Does nothing where nobody asked. @see sd_notify(3) */
export function notifyReady(): void {
  const socket = process.env.NOTIFY_SOCKET;
  const program = Bun.which("systemd-notify");
  if (socket === undefined || program === null) return;
  Bun.spawn([program, "--ready", `--pid=${process.pid}`], { stdio: ["ignore", "ignore", "ignore"] });
}
