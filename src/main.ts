/** Picks the role by the first argument and loads only that. `--version` loads nothing at all. */

import { writeSync } from "node:fs";

/** Kept in step with package.json and base/version.ts by tests/house. */
const version = "0.1.0";

async function main(argv: readonly string[]): Promise<number> {
  if (process.env.BUN_BE_BUN !== undefined) {
    writeSync(2, "skiff: refusing to run with BUN_BE_BUN set: it would turn this program into a plain Bun\n");
    return 1;
  }
  const [first] = argv;
  if (argv.length === 1 && (first === "--version" || first === "-v")) {
    // process.stdout would load all of Node's streams first.
    writeSync(1, `Skiff version ${version}, build ${process.env.SKIFF_BUILD ?? "dev"}\n`);
    return 0;
  }
  if (first === "daemon") {
    const { runDaemon } = await import("./server/daemon/main.ts");
    return runDaemon(argv.slice(1));
  }
  const { runCli } = await import("./client/cli/main.ts");
  return runCli(argv);
}

process.exit(await main(process.argv.slice(2)));
