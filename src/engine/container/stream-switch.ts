import { type Deferred, deferred } from "#base/concurrency.ts";
import type { StreamChunk } from "#spec/engine-api/frame.ts";
import type { Attachment } from "#subsystems/runtime/runtime.ts";

/** A client's side of an attach: it may exist before the task does. */
export class AttachedClient {
  readonly #task: Deferred<Attachment | null> = deferred();
  #closed = false;
  #attachment: Attachment | null = null;

  constructor(private readonly onClose: (client: AttachedClient) => void) {}

  /** Gives the client its task's streams; null: there will be none. */
  connect(attachment: Attachment | null): void {
    this.#attachment = attachment;
    if (this.#closed) attachment?.close();
    this.#task.resolve(attachment);
  }

  /** Live output; waits for the task to be made, ends with it. */
  async *output(): AsyncGenerator<StreamChunk> {
    const attachment = await this.#task.promise;
    if (attachment !== null) yield* attachment.output;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const attachment = await this.#task.promise;
    await attachment?.write(bytes);
  }

  async closeInput(): Promise<void> {
    const attachment = await this.#task.promise;
    await attachment?.closeInput();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#attachment?.close();
    this.#task.resolve(null);
    this.onClose(this);
  }
}

/**
 * Who is attached to a container that has no task yet. Each client gets a connection of its own to the task's monitor,
 * made between create and start, so that it sees the first byte.
 */
export class StreamSwitch {
  readonly #waiting = new Set<AttachedClient>();

  /** A client that waits for the next task. */
  await(): AttachedClient {
    const client = new AttachedClient((gone) => this.#waiting.delete(gone));
    this.#waiting.add(client);
    return client;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Connects every waiting client by `attach`. */
  async connectAll(attach: () => Promise<Attachment>): Promise<void> {
    const clients = [...this.#waiting];
    this.#waiting.clear();
    await Promise.all(clients.map(async (client) => client.connect(await attach())));
  }

  /** The task will not come: every waiting client sees its end. */
  dismissAll(): void {
    for (const client of this.#waiting) client.connect(null);
    this.#waiting.clear();
  }
}
