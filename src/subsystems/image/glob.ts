import { EngineError } from "#base/errors.ts";

type Step = { readonly kind: "star" } | { readonly kind: "one"; readonly fits: (character: string) => boolean };

/**
 * A shell pattern as Go's path.Match reads it: `*` and `?` within a path component, `[a-z]`, `[^a]`, `\` before a plain
 * character. Takes time in proportion to pattern times text, whatever the pattern.
 * @throws EngineError `invalid` "syntax error in pattern"
 */
export function parsePattern(pattern: string): (text: string) => boolean {
  const characters = [...pattern];
  const steps: Step[] = [];
  for (let index = 0; index < characters.length; index++) {
    const character = characters[index] ?? "";
    if (character === "*") steps.push({ kind: "star" });
    else if (character === "?") steps.push({ kind: "one", fits: (other) => other !== "/" });
    else if (character === "[") {
      const set = parseSet(characters, index + 1);
      steps.push({ kind: "one", fits: set.fits });
      index = set.end;
    } else {
      const plain = character === "\\" ? characters[++index] : character;
      if (plain === undefined) throw badPattern(pattern);
      steps.push({ kind: "one", fits: (other) => other === plain });
    }
  }
  return (text) => matches(steps, [...text]);
}

function badPattern(pattern: string): EngineError {
  return new EngineError("invalid", pattern, "syntax error in pattern");
}

/** @returns the test, and the place of the closing bracket */
function parseSet(characters: readonly string[], start: number): { fits: (character: string) => boolean; end: number } {
  let index = start;
  const negated = characters[index] === "^";
  if (negated) index++;
  const ranges: [low: string, high: string][] = [];
  const next = (): string => {
    const character = characters[index++];
    const plain = character === "\\" ? characters[index++] : character;
    if (plain === undefined || character === "-" || character === "]") throw badPattern(characters.join(""));
    return plain;
  };
  while (characters[index] !== "]" || ranges.length === 0) {
    const low = next();
    let high = low;
    if (characters[index] === "-") {
      index++;
      high = next();
    }
    ranges.push([low, high]);
  }
  return {
    fits: (character) => ranges.some(([low, high]) => low <= character && character <= high) !== negated,
    end: index,
  };
}

/** Goes back to the last star only: an earlier one never needs to take more. */
function matches(steps: readonly Step[], text: readonly string[]): boolean {
  let [step, at] = [0, 0];
  let star: { step: number; at: number } | null = null;
  while (at < text.length) {
    const now = steps[step];
    if (now?.kind === "one" && now.fits(text[at] ?? "")) {
      step++;
      at++;
    } else if (now?.kind === "star") {
      star = { step: ++step, at };
    } else if (star !== null && text[star.at] !== "/") {
      at = ++star.at;
      step = star.step;
    } else return false;
  }
  return steps.slice(step).every((rest) => rest.kind === "star");
}
