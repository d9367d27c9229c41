import { EngineError } from "#base/errors.ts";

/** ctrl-p ctrl-q, as Docker. */
const standard = [16, 17];

/** Bytes of a sequence such as `ctrl-p,ctrl-q` or `a,ctrl-x`; the standard one when empty. @throws EngineError `invalid` */
export function parseDetachKeys(text: string | undefined): readonly number[] {
  if (text === undefined || text === "") return standard;
  return text.split(",").map((key) => {
    if (key.length === 1) return key.charCodeAt(0);
    const control = /^ctrl-([a-zA-Z@[\\\]^_])$/.exec(key)?.[1];
    if (control === undefined) throw new EngineError("invalid", text, `Invalid detach keys (${text}) provided`);
    return control.toUpperCase().charCodeAt(0) - 64;
  });
}

/**
 * Looks for the sequence in what a client types. Keys that began a sequence and did not finish it are passed on late,
 * with the key that broke it.
 */
export class DetachScanner {
  #matched = 0;

  constructor(private readonly keys: readonly number[]) {}

  /** @returns what to pass on, and whether the sequence is complete (what follows it is dropped) */
  scan(input: Uint8Array): { pass: Uint8Array; detach: boolean } {
    const pass: number[] = [];
    for (const byte of input) {
      if (byte === this.keys[this.#matched]) {
        this.#matched++;
        if (this.#matched === this.keys.length) return { pass: Uint8Array.from(pass), detach: true };
        continue;
      }
      pass.push(...this.keys.slice(0, this.#matched));
      this.#matched = byte === this.keys[0] ? 1 : 0;
      if (this.#matched === 0) pass.push(byte);
      else if (this.keys.length === 1) return { pass: Uint8Array.from(pass), detach: true };
    }
    return { pass: Uint8Array.from(pass), detach: false };
  }
}
