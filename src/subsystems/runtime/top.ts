import { EngineError } from "#base/errors.ts";

/**
 * The host's `ps`, reduced to some processes.
 * @throws EngineError `invalid` when `ps` refuses its arguments or prints no PID column; `unavailable` without `ps`
 */
export async function processTable(
  pids: readonly number[],
  psArguments: readonly string[],
): Promise<{ titles: string[]; processes: string[][] }> {
  const words = psArguments.length === 0 ? ["-ef"] : [...psArguments];
  const ps = Bun.which("ps");
  if (ps === null)
    throw new EngineError("unavailable", "ps", "ps is not installed on the host: apt-get install procps");
  const child = Bun.spawn([ps, ...words], { stdio: ["ignore", "pipe", "pipe"] });
  const [text, said] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0) throw new EngineError("invalid", words.join(" "), `ps: ${said.trim()}`);
  const [head = "", ...lines] = text.split("\n").filter((line) => line !== "");
  const titles = head.trim().split(/\s+/);
  const pidColumn = titles.indexOf("PID");
  if (pidColumn < 0) throw new EngineError("invalid", words.join(" "), "Couldn't find PID field in ps output");
  const wanted = new Set(pids);
  const processes = lines
    .map((line) => columns(line, titles.length))
    .filter((row) => wanted.has(Number(row[pidColumn])));
  return { titles, processes };
}

/** The last column is a command line and keeps its blanks. */
function columns(line: string, count: number): string[] {
  const words = line.trim().split(/\s+/);
  return [...words.slice(0, count - 1), words.slice(count - 1).join(" ")];
}
