/**
 * What went wrong, as a closed set. `server/api/status.ts` maps each kind to an HTTP status, the CLI to an exit code.
 * - `not-modified`: the wanted state is already there (start of a running container)
 * - `unauthorized`: a registry or the API wants (other) credentials
 * - `internal`: a fault of ours or of the host; always logged with its cause
 */
export type ErrorKind =
  | "not-found"
  | "conflict"
  | "invalid"
  | "denied"
  | "unauthorized"
  | "unavailable"
  | "unsupported"
  | "corrupt"
  | "not-modified"
  | "internal";

/** The one error type of the engine: kind, subject (what it concerns), a message in Docker's words, and the cause. */
export class EngineError extends Error {
  override readonly name = "EngineError";
  constructor(
    readonly kind: ErrorKind,
    readonly subject: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Whether `error` is an EngineError, optionally of one kind. */
export function isEngineError(error: unknown, kind?: ErrorKind): error is EngineError {
  return error instanceof EngineError && (kind === undefined || error.kind === kind);
}

/** The text of anything thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
