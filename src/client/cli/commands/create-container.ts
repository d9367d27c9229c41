import { writeFileSync } from "node:fs";
import { ApiError } from "#client/api-client/api-client.ts";
import type { CreateRequest } from "#spec/engine-api/container.ts";
import { CliError, type CommandContext } from "../command.ts";
import { pullImage } from "./pull-image.ts";
import { type CreateFlags, checkCidFile, type createFlags, createRequest } from "./run-flags.ts";

type Context = Pick<CommandContext<typeof createFlags>, "engine" | "out" | "given">;

/** What `run` and `create` refuse before the daemon is asked, with Docker's exit code for it. */
export function requestOf(
  context: CommandContext<typeof createFlags>,
  flags: CreateFlags,
  detached: boolean,
): CreateRequest {
  const [image = "", ...command] = context.args;
  try {
    if (flags.rm && context.given.has("restart") && flags.restart !== "no" && flags.restart !== "") {
      throw new Error("conflicting options: cannot specify both --restart and --rm");
    }
    checkCidFile(flags.cidfile);
    return createRequest(flags, context.given, image, command, detached);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`skiff: ${error instanceof Error ? error.message : String(error)}`, 125, "hint");
  }
}

/** Creates a container, pulling its image as `--pull` says. @returns its id */
export async function createContainer(context: Context, flags: CreateFlags, request: CreateRequest): Promise<string> {
  const { engine, out } = context;
  const platform = flags.platform;
  const query = { ...(flags.name !== undefined && { name: flags.name }), ...(platform !== undefined && { platform }) };
  const create = () =>
    engine.json<{ Id: string; Warnings: string[] | null }>("POST", "/containers/create", { query, json: request });
  const pull = () =>
    pullImage(engine, out, request.Image, {
      quiet: flags.quiet,
      toStderr: true,
      ...(platform !== undefined && { platform }),
    });
  if (flags.pull === "always") await pull();
  let created: Awaited<ReturnType<typeof create>>;
  try {
    created = await create();
  } catch (error) {
    const isMissing = error instanceof ApiError && error.status === 404 && /No such image/i.test(error.message);
    if (!isMissing || flags.pull === "never") throw error;
    if (!flags.quiet)
      out.error(
        `Unable to find image '${request.Image.includes(":") || request.Image.includes("@") ? request.Image : `${request.Image}:latest`}' locally`,
      );
    await pull();
    created = await create();
  }
  for (const warning of created.Warnings ?? []) out.error(`WARNING: ${warning}`);
  if (flags.cidfile !== undefined) writeFileSync(flags.cidfile, created.Id);
  return created.Id;
}
