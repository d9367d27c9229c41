import { expect, test } from "bun:test";
import { parsePortSpec } from "./port-spec.ts";
import { parseByteSize, parseDurationNs } from "./units.ts";

test.each([
  ["80", [["80/tcp", "", ""]]], // the engine picks the host port
  ["8080:80", [["80/tcp", "", "8080"]]],
  ["127.0.0.1::53/udp", [["53/udp", "127.0.0.1", ""]]], // empty host port between colons
  ["[::1]:8443:443", [["443/tcp", "::1", "8443"]]], // brackets are syntax, not address
  [
    "8080-8081:80-81/UDP",
    [
      ["80/udp", "", "8080"],
      ["81/udp", "", "8081"],
    ],
  ], // ranges go pairwise
  ["8000-9000:80", [["80/tcp", "", "8000-9000"]]], // the engine picks one of the range
])("parsePortSpec(%j)", (text, expected) => {
  expect(parsePortSpec(text).map((port) => [port.key, port.hostIp, port.hostPort])).toEqual(expected);
});

test.each([
  ["80:abc", "invalid containerPort: abc"],
  ["abc:80", "invalid hostPort: abc"],
  ["1-3:1-2", "Invalid ranges specified for container and host Ports: 1-2 and 1-3"],
  ["1.2.3:80:80", "invalid IP address: 1.2.3"],
  ["80/foo", "invalid proto: foo"],
  ["99999", "invalid containerPort: 99999"], // above 65535
  ["8080:", "no port specified: 8080:<empty>"],
])("parsePortSpec(%j) refuses", (text, message) => {
  expect(() => parsePortSpec(text)).toThrow(message);
});

test.each([
  ["512m", 512 << 20],
  ["1.5KiB", 1536],
  ["64 MB", 64 << 20], // binary, whatever the suffix says
  ["10", 10],
])("parseByteSize(%j)", (text, bytes) => expect(parseByteSize(text)).toBe(bytes));

test.each([
  ["1h30m", 5400e9],
  ["1.5s", 1.5e9],
  ["-2ms", -2e6],
  ["0", 0],
])("parseDurationNs(%j)", (text, ns) => expect(parseDurationNs(text)).toBe(BigInt(ns)));

test.each(["5", "1x", "", "s"])("parseDurationNs(%j) refuses", (text) =>
  expect(() => parseDurationNs(text)).toThrow("time:"),
);
