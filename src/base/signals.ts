import { constants } from "node:os";
import { EngineError } from "./errors.ts";

/** glibc keeps the first two real-time signals for itself, so SIGRTMIN is 34; SIGRTMAX is 64. */
const rtMin = 34;
const rtMax = 64;

const numbers = new Map<string, number>(Object.entries(constants.signals));
numbers.set("SIGRTMIN", rtMin);
numbers.set("SIGRTMAX", rtMax);
for (let offset = 1; offset <= (rtMax - rtMin) / 2; offset++) {
  numbers.set(`SIGRTMIN+${offset}`, rtMin + offset);
  numbers.set(`SIGRTMAX-${offset}`, rtMax - offset);
}

/** A signal as Docker takes it: `SIGTERM`, `term`, `15`, `SIGRTMIN+3`. @throws EngineError `invalid` "Invalid signal: X" */
export function parseSignal(text: string): number {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    if (number >= 1 && number <= rtMax) return number;
  } else {
    const upper = text.toUpperCase();
    const number = numbers.get(upper.startsWith("SIG") ? upper : `SIG${upper}`);
    if (number !== undefined) return number;
  }
  throw new EngineError("invalid", text, `Invalid signal: ${text}`);
}
