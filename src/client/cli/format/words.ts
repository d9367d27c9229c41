/** Sizes, ages and names in Docker's words. */
import { durationText } from "#base/duration-text.ts";

const decimalUnits = ["B", "kB", "MB", "GB", "TB", "PB"];

/** `1.98MB`: powers of 1000, four significant digits at most. */
export function humanSize(bytes: number, digits = 3): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < decimalUnits.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(digits))}${decimalUnits[unit]}`;
}

const binaryUnits = ["B", "KiB", "MiB", "GiB", "TiB"];

/** `23.42GiB`: powers of 1024. */
export function binarySize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < binaryUnits.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toPrecision(4))}${binaryUnits[unit]}`;
}

/** `2 hours ago` for a time in seconds since 1970. */
export function ago(seconds: number): string {
  return `${durationText(Date.now() - seconds * 1000)} ago`;
}

/** `2026-11-24 12:00:00 +0000 UTC`, as Docker's CreatedAt. */
export function goTime(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ")} +0000 UTC`;
}

/** At most `length` characters, the last one an ellipsis when cut. */
export function ellipsis(text: string, length: number): string {
  const letters = [...text];
  return letters.length <= length ? text : `${letters.slice(0, length - 1).join("")}…`;
}

/** The 12-digit form of an id. */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, "").slice(0, 12);
}
