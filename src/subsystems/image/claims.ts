/**
 * Counts who needs a blob or a layer: images for good, loads and saves while they run. What nobody claims may go.
 * All of it is synchronous, so that looking and removing are one step that no other work can come between.
 */
export class Claims<Key extends string> {
  readonly #counts = new Map<Key, number>();
  readonly #strays = new Set<Key>();

  add(key: Key): void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    this.#strays.delete(key);
  }

  /** Gives up one claim; with the last one the key becomes a stray. */
  drop(key: Key): void {
    const count = (this.#counts.get(key) ?? 1) - 1;
    if (count > 0) this.#counts.set(key, count);
    else {
      this.#counts.delete(key);
      this.#strays.add(key);
    }
  }

  has(key: Key): boolean {
    return this.#counts.has(key);
  }

  /** Something found on disk: a stray unless claimed. */
  found(key: Key): void {
    if (!this.#counts.has(key)) this.#strays.add(key);
  }

  /** What may go, at this moment. */
  strays(): Key[] {
    return [...this.#strays];
  }

  /** Takes a stray off the list, for its removal. @returns false when it is none any more */
  takeStray(key: Key): boolean {
    return this.#strays.delete(key);
  }
}
