import { command } from "../command.ts";
import { createContainer, requestOf } from "./create-container.ts";
import { createFlags } from "./run-flags.ts";

export const create = command({
  path: "container create",
  aliases: ["create"],
  usage: "IMAGE [COMMAND] [ARG...]",
  summary: "Create a new container",
  args: { min: 1, max: Number.POSITIVE_INFINITY },
  completes: "images",
  flags: createFlags,
  stopsAtFirstArgument: true,
  async run(context) {
    const request = requestOf(context, context.flags, false);
    context.out.line(await createContainer(context, context.flags, request));
  },
});
