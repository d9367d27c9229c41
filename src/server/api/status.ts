import type { ErrorKind } from "#base/errors.ts";

/** The only place that knows HTTP's numbers for what goes wrong. */
export const httpStatus = {
  "not-modified": 304,
  invalid: 400,
  unauthorized: 401,
  denied: 403,
  "not-found": 404,
  conflict: 409,
  corrupt: 500,
  internal: 500,
  unsupported: 501,
  unavailable: 503,
} as const satisfies Record<ErrorKind, number>;
