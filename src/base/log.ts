export type LogLevel = "debug" | "info" | "warn" | "error" | "fatal";

const order: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3, fatal: 4 };

/** Structured log of the daemon: one line per event, logfmt as dockerd writes it, on stderr. */
export interface Logger {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

/** A logger that drops what is below `level`. `write` receives whole lines with their line feed. */
export function createLogger(level: LogLevel, write: (line: string) => void): Logger {
  const at =
    (own: LogLevel) =>
    (message: string, fields: Record<string, unknown> = {}) => {
      if (order[own] < order[level]) return;
      const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${quote(value)}`);
      write(`time="${new Date().toISOString()}" level=${own} msg=${JSON.stringify(message)}${pairs.join("")}\n`);
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** A logger for tests and for parts that run without a daemon. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

function quote(value: unknown): string {
  if (value instanceof Error) {
    const causes: string[] = [];
    for (let error: unknown = value; error !== undefined && causes.length < 5; ) {
      causes.push(error instanceof Error ? error.message : String(error));
      error = error instanceof Error ? error.cause : undefined;
    }
    return JSON.stringify(causes.join(": "));
  }
  return typeof value === "string" ? JSON.stringify(value) : (JSON.stringify(value) ?? "undefined");
}
