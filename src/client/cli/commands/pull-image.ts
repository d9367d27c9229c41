import type { ApiClient } from "#client/api-client/api-client.ts";
import type { ProgressMessage } from "#spec/engine-api/image.ts";
import { CliError, type Output } from "../command.ts";
import { ProgressDisplay } from "../progress.ts";

/** Asks the daemon for an image and shows how it goes. @throws CliError with the daemon's words */
export async function pullImage(
  engine: ApiClient,
  out: Output,
  reference: string,
  options: { quiet: boolean; toStderr: boolean; platform?: string },
): Promise<void> {
  const { name, tag } = splitTag(reference);
  const messages = engine.messages<ProgressMessage>("POST", "/images/create", {
    query: { fromImage: name, tag, ...(options.platform !== undefined && { platform: options.platform }) },
  });
  using display = new ProgressDisplay(options.toStderr ? process.stderr : process.stdout, options.quiet);
  for await (const message of messages) {
    if (message.error !== undefined) throw new CliError(`Error response from daemon: ${message.error}`, 1);
    display.show(message);
  }
  if (options.quiet && !options.toStderr) out.line(reference);
}

function splitTag(reference: string): { name: string; tag: string } {
  const at = reference.indexOf("@");
  if (at >= 0) return { name: reference.slice(0, at), tag: reference.slice(at + 1) };
  const colon = reference.lastIndexOf(":");
  if (colon > reference.lastIndexOf("/")) return { name: reference.slice(0, colon), tag: reference.slice(colon + 1) };
  return { name: reference, tag: "latest" };
}
