import { ApiError } from "#client/api-client/api-client.ts";
import { CliError, type Output } from "../command.ts";

/** Does something for each name, side by side, and prints each as it is done; goes on after a refusal. @throws CliError when any was refused */
export async function forEach(
  out: Output,
  names: readonly string[],
  work: (name: string) => Promise<unknown>,
): Promise<void> {
  let failed = false;
  const done = names.map((name) =>
    work(name).then(
      (text) => ({ text: typeof text === "string" ? text : name }),
      (error: unknown) => ({ error }),
    ),
  );
  for (const outcome of done) {
    const result = await outcome;
    if ("text" in result) {
      if (result.text !== "") out.line(result.text);
      continue;
    }
    if (!(result.error instanceof ApiError)) throw result.error;
    out.error(`Error response from daemon: ${result.error.message}`);
    failed = true;
  }
  if (failed) throw new CliError("", 1);
}

/** Like {@link forEach}, one after the other. */
export async function forEachInTurn(
  out: Output,
  names: readonly string[],
  work: (name: string) => Promise<unknown>,
): Promise<void> {
  let failed = false;
  for (const name of names) {
    try {
      await forEach(out, [name], work);
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      failed = true;
    }
  }
  if (failed) throw new CliError("", 1);
}
