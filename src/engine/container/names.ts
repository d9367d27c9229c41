import { randomInt } from "node:crypto";
import { EngineError } from "#base/errors.ts";

const moods =
  `able agile amber arctic bold brave breezy bright brisk calm candid clever cosmic crisp daring deft dreamy eager
earnest fair fearless fleet fluent fond gentle glad golden grand happy hardy hearty honest humble jolly keen kind lively
loyal lucid lucky mellow merry mighty modest nimble noble patient placid plucky polite proud quick quiet radiant ready
robust serene sharp silent sincere sleek smart snug solid spry steady stoic sunny swift tidy tranquil upbeat valiant vivid
warm wise witty zesty`.split(/\s+/);

const people =
  `abel agnesi archimedes babbage banach bardeen bell bernoulli bohr boole born bose brahmagupta cantor carson
cauchy chandrasekhar cori crick curie darwin dijkstra dirac einstein elion engelbart erdos euclid euler faraday fermat
fermi feynman franklin galileo galois gauss germain goedel goodall hamilton hawking hertz hilbert hodgkin hopper hubble
hypatia jemison johnson joliot kepler kilby knuth kovalevskaya lamarr leavitt leibniz liskov lovelace mayer mccarthy
meitner mendel mirzakhani moore newton noether nobel pascal pasteur pauli perlman poincare ptolemy ramanujan ride ritchie
rubin sagan shannon stallman swartz tesla thompson torvalds turing volta wiles wing wozniak wright yalow yonath`.split(
    /\s+/,
  );

/** A name nobody has: `keen_turing`, with digits added when the first tries are taken. */
export function generateName(isTaken: (name: string) => boolean): string {
  for (let attempt = 0; ; attempt++) {
    const name = `${moods[randomInt(moods.length)]}_${people[randomInt(people.length)]}${attempt < 6 ? "" : randomInt(10 ** Math.min(attempt - 5, 9))}`;
    if (!isTaken(name)) return name;
  }
}

/** The name without its slash. @throws EngineError `invalid` in Docker's words */
export function parseName(text: string): string {
  const name = text.startsWith("/") ? text.slice(1) : text;
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name)) return name;
  throw new EngineError(
    "invalid",
    text,
    `Invalid container name (${text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
  );
}
