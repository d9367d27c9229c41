import { describe, expect, test } from "bun:test";
import { isEngineError } from "#base/errors.ts";
import { canonicalString, familiarString, parseReference, parseTagged, withDefaultTag } from "./reference.ts";

const digest = `sha256:${"ab".repeat(32)}`;

describe("names are read as Docker reads them", () => {
  const good: [text: string, canonical: string, familiar: string][] = [
    ["nginx", "docker.io/library/nginx:latest", "nginx:latest"],
    ["nginx:1.27", "docker.io/library/nginx:1.27", "nginx:1.27"],
    ["user/app", "docker.io/user/app:latest", "user/app:latest"],
    ["library/nginx", "docker.io/library/nginx:latest", "nginx:latest"],
    ["docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"],
    ["index.docker.io/user/app:v1", "docker.io/user/app:v1", "user/app:v1"],
    ["localhost/a", "localhost/a:latest", "localhost/a:latest"],
    ["localhost:5000/a/b:x", "localhost:5000/a/b:x", "localhost:5000/a/b:x"],
    ["host:5000/a", "host:5000/a:latest", "host:5000/a:latest"],
    ["Host/a", "Host/a:latest", "Host/a:latest"],
    ["[2001:db8::1]:443/a", "[2001:db8::1]:443/a:latest", "[2001:db8::1]:443/a:latest"],
    ["ghcr.io/a-b/c__d.e---f", "ghcr.io/a-b/c__d.e---f:latest", "ghcr.io/a-b/c__d.e---f:latest"],
    [`nginx@${digest}`, `docker.io/library/nginx@${digest}`, `nginx@${digest}`],
    [`nginx:1@${digest}`, `docker.io/library/nginx:1@${digest}`, `nginx:1@${digest}`],
    [`a:${"T".repeat(128)}`, `docker.io/library/a:${"T".repeat(128)}`, `a:${"T".repeat(128)}`],
    ["sha256:abc", "docker.io/library/sha256:abc", "sha256:abc"],
  ];
  for (const [text, canonical, familiar] of good) {
    test(text.slice(0, 60), () => {
      const reference = withDefaultTag(parseReference(text));
      expect(canonicalString(reference)).toBe(canonical);
      expect(familiarString(reference)).toBe(familiar);
    });
  }
});

describe("malformed names are refused in Docker's words", () => {
  const format = "invalid reference format";
  const lower = (path: string) => `invalid reference format: repository name (${path}) must be lowercase`;
  const bad: [text: string, message: string][] = [
    ["", format],
    [" ", format],
    [":tag", format],
    ["a:", format],
    ["a b", format],
    ["-a", format],
    ["a-", format],
    ["a___b", format],
    ["a..b", format],
    ["a//b", format],
    ["/a", format],
    ["a/", format],
    ["../../etc/passwd", format],
    ["a:b:c", format],
    ["a@sha256:12", format],
    [`a@${digest}@${digest}`, format],
    ["-host.x/a", format],
    ["host:port/a", format],
    ["a\n", format],
    ["a\0b", format],
    ["é", format],
    [`a:${"t".repeat(129)}`, format],
    ["a".repeat(5000), format],
    ["FOO", lower("library/FOO")],
    ["FOO!!:x", lower("library/FOO!!")],
    ["user/App", lower("user/App")],
    ["a".repeat(256), "repository name must not be more than 255 characters"],
    ["ab".repeat(32), `invalid repository name (${"ab".repeat(32)}), cannot specify 64-byte hexadecimal strings`],
  ];
  for (const [text, message] of bad) {
    test(JSON.stringify(text.slice(0, 40)), () => {
      expect(() => parseReference(text)).toThrow(message);
    });
  }
});

describe("names to give", () => {
  test("a separate tag wins over the text's own", () => {
    expect(parseTagged("app:1")).toEqual({ repository: "app", tag: "1" });
    expect(parseTagged("app:1", "2")).toEqual({ repository: "app", tag: "2" });
    expect(parseTagged("host:5000/app")).toEqual({ repository: "host:5000/app", tag: "latest" });
  });
  test("digests, algorithm names and bad tags are refused", () => {
    expect(() => parseTagged(`app@${digest}`)).toThrow("refusing to create a tag with a digest reference");
    expect(() => parseTagged("sha256:abc")).toThrow("refusing to create an ambiguous tag");
    expect(() => parseTagged("app", "no/tag")).toThrow("invalid tag format");
  });
});

/** A small generator with a seed, so that a failure can be repeated. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe("properties", () => {
  test("what was read and spelled reads the same again", () => {
    const random = randomFrom(7);
    const pick = (from: readonly string[]) => from[random(from.length)] ?? "";
    for (let round = 0; round < 2000; round++) {
      const name = ["a", "b9", "x-y", "p__q"].slice(0, 1 + random(4)).join("/");
      const text = `${pick(["", "h.io/", "localhost:1/", "docker.io/", "H/"])}${name}${pick(["", ":t", ":V1.2_x-"])}${pick(["", `@${digest}`])}`;
      const once = parseReference(text);
      expect(parseReference(familiarString(once))).toEqual(once);
      expect(parseReference(canonicalString(once))).toEqual(once);
    }
  });

  test("any text is either a reference or an `invalid` error, and quickly", () => {
    const random = randomFrom(11);
    const alphabet = [
      "a",
      "A",
      "0",
      ".",
      "-",
      "_",
      "/",
      ":",
      "@",
      "[",
      "]",
      "é",
      " ",
      "\0",
      "sha256:",
      "ab".repeat(32),
    ];
    const started = performance.now();
    for (let round = 0; round < 5000; round++) {
      const text = Array.from({ length: random(24) }, () => alphabet[random(alphabet.length)]).join("");
      try {
        const reference = parseReference(text);
        expect(parseReference(canonicalString(reference))).toEqual(reference);
      } catch (error) {
        if (!isEngineError(error, "invalid")) throw error;
      }
    }
    for (const hostile of ["a-".repeat(500), `${"a-".repeat(500)}!`, "0".repeat(1000), `${"a.".repeat(400)}/b`]) {
      expect(() => parseReference(hostile)).toThrow();
    }
    expect(performance.now() - started).toBeLessThan(5000);
  });
});
