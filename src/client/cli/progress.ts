import type { ProgressMessage } from "#spec/engine-api/image.ts";

interface Screen {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** Docker's progress messages: a line per id, redrawn on a terminal; plain lines into a pipe; nothing when quiet. */
export class ProgressDisplay implements Disposable {
  readonly #lines = new Map<string, number>();

  constructor(
    private readonly screen: Screen,
    private readonly quiet: boolean,
  ) {}

  show(message: ProgressMessage): void {
    if (this.quiet) return;
    if (message.stream !== undefined) {
      this.screen.write(message.stream);
      return;
    }
    const text = `${message.id === undefined ? "" : `${message.id}: `}${message.status ?? ""}${message.progress === undefined ? "" : ` ${message.progress}`}`;
    if (message.id === undefined || this.screen.isTTY !== true) {
      // A pipe gets each change of state once, not every tick.
      if (message.progressDetail?.current === undefined) this.screen.write(`${text}\n`);
      return;
    }
    this.#redraw(message.id, text);
  }

  #redraw(id: string, text: string): void {
    const line = this.#lines.get(id);
    if (line === undefined) {
      this.#lines.set(id, this.#lines.size);
      this.screen.write(`${text}\n`);
      return;
    }
    const up = this.#lines.size - line;
    this.screen.write(`\x1b[${up}A\r\x1b[2K${text}\r\x1b[${up}B`);
  }

  [Symbol.dispose](): void {
    this.#lines.clear();
  }
}
