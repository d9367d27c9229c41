import { expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { SealedProgram } from "./sealed-program.ts";

test("a sealed program runs, nobody can write to it, and it is gone with its owner", () => {
  const program = new SealedProgram("/bin/echo");
  const { path } = program;
  expect(Bun.spawnSync([path, "from", "memory"]).stdout.toString()).toBe("from memory\n");
  expect(() => writeFileSync(path, "x")).toThrow(/EPERM|ETXTBSY/);
  program[Symbol.dispose]();
  expect(existsSync(path)).toBe(false);
});
