import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { floors, siblingEdges, wiring } from "./floors.ts";

const src = join(import.meta.dir, "../../src");

interface ImportLine {
  readonly file: string;
  readonly target: string;
}

/** Every import of the sources that leads to another file of the sources, types too, as paths below `src`. */
function sourceImports(): ImportLine[] {
  const files = (readdirSync(src, { recursive: true }) as string[]).filter((file) => file.endsWith(".ts"));
  return files.flatMap((file) => {
    const text = readFileSync(join(src, file), "utf8");
    const specifiers = [...text.matchAll(/(?:from\s+|import\s*\(\s*|import\s+|new URL\()["']([^"']+)["']/g)].map(
      (match) => match[1] ?? "",
    );
    return specifiers.flatMap((specifier) => {
      if (specifier.startsWith("#")) return [{ file, target: specifier.slice(1) }];
      if (specifier.startsWith(".")) return [{ file, target: normalize(join(dirname(file), specifier)) }];
      return [];
    });
  });
}

const floorOf = (path: string) => path.split("/")[0] ?? "";
const roomOf = (path: string) => path.split("/").slice(0, 2).join("/");
const isTest = (path: string) => /(\.test|-suite|-fuzz)\.ts$/.test(path);

/** Why an import is not allowed; null when it is. */
function offence({ file, target }: ImportLine): string | null {
  const own = wiring[file];
  if (own !== undefined)
    return own.includes(floorOf(target)) || roomOf(target) === roomOf(file) || floorOf(target) === floorOf(file)
      ? null
      : "not on its list";
  const floor = floors[floorOf(file)];
  if (floor === undefined) return `no floor is called "${floorOf(file)}"`;
  if (floorOf(file) === floorOf(target)) {
    const sameRoom = roomOf(file) === roomOf(target) || file.split("/").length === 2 || target.split("/").length === 2;
    return sameRoom || siblingEdges.includes(`${roomOf(file)} > ${roomOf(target)}`)
      ? null
      : "rooms of one floor do not import each other";
  }
  return floor.mayImport.includes(floorOf(target))
    ? null
    : `${floorOf(file)} may import ${floor.mayImport.join(", ") || "nothing"}`;
}

test("imports go down only", () => {
  const offences = sourceImports()
    .filter(({ file, target }) => !isTest(file) && !target.startsWith("tests/"))
    .flatMap((line) => {
      const why = offence(line);
      return why === null
        ? []
        : [`${line.file} imports ${line.target}: ${why}. Move the code, or pass it in at construction.`];
    });
  expect(offences).toEqual([]);
});

test("the check sees an upward import", () => {
  expect(offence({ file: "store/content/content.ts", target: "engine/container/container.ts" })).not.toBeNull();
  expect(offence({ file: "client/cli/main.ts", target: "linux/libc.ts" })).not.toBeNull();
  expect(offence({ file: "engine/container/list.ts", target: "base/errors.ts" })).toBeNull();
});

/** Everything that loading `entry` loads at once; `import()` loads later and does not count. */
function eagerClosure(entry: string): Set<string> {
  const seen = new Set<string>();
  const visit = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = readFileSync(join(src, file), "utf8");
    for (const match of text.matchAll(/^(?:import|export)\s+(?!type)[^;]*?["']([^"']+)["'];/gm)) {
      const specifier = match[1] ?? "";
      if (specifier.startsWith("#")) visit(specifier.slice(1));
      else if (specifier.startsWith(".")) visit(relative(src, join(src, dirname(file), specifier)));
    }
  };
  visit(entry);
  return seen;
}

test("skiff --version loads main.ts alone", () => {
  expect([...eagerClosure("main.ts")]).toEqual(["main.ts"]);
});
