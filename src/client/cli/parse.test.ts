import { describe, expect, test } from "bun:test";
import { command } from "./command.ts";
import { parseArguments } from "./parse.ts";

const sample = command({
  path: "container run",
  aliases: ["run"],
  usage: "IMAGE [COMMAND] [ARG...]",
  summary: "",
  args: { min: 1, max: Number.POSITIVE_INFINITY },
  flags: {
    interactive: { kind: "bool", short: "i", help: "" },
    tty: { kind: "bool", short: "t", help: "" },
    rm: { kind: "bool", help: "" },
    name: { kind: "string", help: "" },
    publish: { kind: "list", short: "p", help: "" },
    timeout: { kind: "int", short: "T", help: "" },
  },
  stopsAtFirstArgument: true,
  run: async () => 0,
});

describe("arguments", () => {
  test.each([
    // words, flags that were given, arguments
    [["-it", "img"], { interactive: true, tty: true }, ["img"]],
    [["-itp80:80", "img"], { interactive: true, tty: true, publish: ["80:80"] }, ["img"]],
    [["-p", "1", "-p=2", "--publish", "3", "--publish=4", "img"], { publish: ["1", "2", "3", "4"] }, ["img"]],
    [["--rm=false", "--name=a=b", "img"], { rm: false, name: "a=b" }, ["img"]],
    [["--name", "-x", "img"], { name: "-x" }, ["img"]],
    [["-T", "-1", "img"], { timeout: -1 }, ["img"]],
    [["--", "--rm"], {}, ["--rm"]],
    [["img", "sh", "-c", "--rm"], {}, ["img", "sh", "-c", "--rm"]],
    [["-", "x"], {}, ["-", "x"]],
  ])("%j", (argv, given, args) => {
    const parsed = parseArguments(sample, argv);
    expect(parsed.args).toEqual(args);
    expect(Object.fromEntries(Object.entries(parsed.flags).filter(([name]) => parsed.given.has(name)))).toEqual(
      given as never,
    );
  });

  test.each([
    [["--nope", "img"], "unknown flag: --nope", 125],
    [["-itx", "img"], "unknown shorthand flag: 'x' in -itx", 125],
    [["--name"], "flag needs an argument: --name", 125],
    [["-p"], "flag needs an argument: 'p' in -p", 125],
    [
      ["--rm=perhaps", "img"],
      'invalid argument "perhaps" for "--rm" flag: strconv.ParseBool: parsing "perhaps": invalid syntax',
      125,
    ],
    [
      ["-T", "soon", "img"],
      'invalid argument "soon" for "-T, --timeout" flag: strconv.ParseInt: parsing "soon": invalid syntax',
      125,
    ],
    [[], "skiff: 'skiff run' requires at least 1 argument", 1],
  ])("%j is refused", (argv, message, exitCode) => {
    expect(() => parseArguments(sample, argv)).toThrow(expect.objectContaining({ message, exitCode }) as never);
  });
});
