import type { AttachStream } from "#engine/container/container.ts";

/** What a route answers; `respond.ts` puts it on the wire. */
export type Reply =
  | { readonly kind: "json"; readonly status: number; readonly body: unknown }
  | {
      readonly kind: "text";
      readonly status: number;
      readonly contentType: string;
      readonly body: string;
      readonly headers?: Record<string, string>;
    }
  | { readonly kind: "empty"; readonly status: number; readonly headers?: Record<string, string> }
  /** Chunks as they come, the client's pace; an error after the first byte is the stream's own business. */
  | { readonly kind: "stream"; readonly contentType: string; readonly chunks: AsyncIterable<Uint8Array> }
  /** JSON objects, one a line, flushed one by one; an error becomes the last of them. */
  | { readonly kind: "messages"; readonly contentType?: string; readonly messages: AsyncIterable<unknown> }
  /** Headers now, the JSON body when it is known (`wait`). */
  | { readonly kind: "later"; readonly body: Promise<unknown> }
  /** The connection becomes a stream of the container's bytes. */
  | { readonly kind: "hijack"; readonly terminal: boolean; readonly open: () => Promise<AttachStream> };

export const ok = (body: unknown): Reply => ({ kind: "json", status: 200, body });
export const created = (body: unknown): Reply => ({ kind: "json", status: 201, body });
export const noContent: Reply = { kind: "empty", status: 204 };
