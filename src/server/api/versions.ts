import { EngineError } from "#base/errors.ts";

/** Minor number of an API version: 41 for 1.41. */
export type ApiVersion = number;

export const apiVersionMin: ApiVersion = 24;
export const apiVersionMax: ApiVersion = 56;

/** The version of a path such as `/v1.41/info`, and the path without it. @throws EngineError `invalid` outside 1.24 … 1.56 */
export function splitVersion(path: string): { version: ApiVersion; path: string } {
  const match = /^\/v(\d+)\.(\d+)(\/.*)$/.exec(path);
  if (match === null) return { version: apiVersionMax, path };
  const [, major, minor, rest = "/"] = match;
  const version = major === "1" ? Number(minor) : Number.POSITIVE_INFINITY;
  if (version < apiVersionMin) {
    throw new EngineError(
      "invalid",
      path,
      `client version ${major}.${minor} is too old. Minimum supported API version is 1.${apiVersionMin}, please upgrade your client to a newer version`,
    );
  }
  if (version > apiVersionMax) {
    throw new EngineError(
      "invalid",
      path,
      `client version ${major}.${minor} is too new. Maximum supported API version is 1.${apiVersionMax}`,
    );
  }
  return { version, path: rest };
}

type Json = Record<string, unknown>;
type Converter = (body: Json) => Json;

interface Change {
  /** The answer in the form of versions before this one. */
  readonly before: ApiVersion;
  readonly answer: "image-summary" | "image-inspect";
  readonly convert: Converter;
}

/** What newer versions dropped or renamed, given back to older clients. Applied newest first. */
const changes: readonly Change[] = [
  { before: 44, answer: "image-summary", convert: (body) => ({ ...body, VirtualSize: body.Size }) },
  { before: 44, answer: "image-inspect", convert: (body) => ({ ...body, VirtualSize: body.Size }) },
];

/** `body` as a client of `version` expects it. */
export function forVersion(answer: Change["answer"], version: ApiVersion, body: object): object {
  return changes
    .filter((change) => change.answer === answer && version < change.before)
    .reduce<Json>((converted, change) => change.convert(converted), body as Json);
}
