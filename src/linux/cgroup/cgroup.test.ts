import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { favourQuickChanges } from "./cgroup.ts";

const unifiedOptions = () =>
  readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .find((line) => line.split(" ")[2] === "cgroup2")
    ?.split(" ")[3]
    ?.split(",");

test.skipIf(unifiedOptions() === undefined)("quick changes are asked for once, and no other option is lost", () => {
  const before = unifiedOptions() ?? [];
  const notices = favourQuickChanges();
  const after = unifiedOptions() ?? [];
  expect(after).toEqual(expect.arrayContaining(before));
  if (notices.some((text) => text.startsWith("cannot"))) return;
  expect(after).toContain("favordynmods");
  expect(favourQuickChanges()).toEqual([]);
});
