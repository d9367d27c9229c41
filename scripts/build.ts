/**
 * Compiles CLI and daemon into one self-contained executable, `dist/skiff`.
 * `.env` and `bunfig.toml` of the folder where a user stands must never run: both loads are switched off.
 */
import { existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "..");
/** Workers are entry points of their own; each is named where it is started. */
const workers = ["src/linux/namespace/netns-worker.ts"].filter((path) => existsSync(join(root, path)));
const target = join(root, "dist", "skiff");

mkdirSync(join(root, "dist"), { recursive: true });
const commit = Bun.spawnSync(["git", "rev-parse", "--short", "HEAD"], { cwd: root, stderr: "ignore" })
  .stdout.toString()
  .trim();
const build = Bun.spawnSync(
  [
    process.execPath,
    "build",
    "--compile",
    "--minify",
    "--bytecode",
    "--splitting",
    "--format=esm",
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    `--define=process.env.SKIFF_BUILD=${JSON.stringify(commit || "unknown")}`,
    join(root, "src/main.ts"),
    ...workers.map((path) => join(root, path)),
    `--outfile=${target}.new`,
  ],
  { cwd: root, stdout: "inherit", stderr: "inherit" },
);
if (build.exitCode !== 0) process.exit(build.exitCode);
renameSync(`${target}.new`, target);
console.log(`dist/skiff: ${(statSync(target).size / 1e6).toFixed(0)} MB`);
