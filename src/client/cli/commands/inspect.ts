/** `inspect` in its spellings. */
import { ApiError } from "#client/api-client/api-client.ts";
import { CliError, type CommandContext, command, type FlagTable } from "../command.ts";
import { GoTemplate } from "../format/template.ts";
import { goJson } from "../format/template-functions.ts";

type Kind = "container" | "image" | "volume" | "network";

const paths: Record<Kind, (name: string) => string> = {
  container: (name) => `/containers/${name}/json`,
  image: (name) => `/images/${name}/json`,
  volume: (name) => `/volumes/${name}`,
  network: (name) => `/networks/${name}`,
};

const formatFlag = {
  kind: "string",
  short: "f",
  help: "Format output using a custom template: 'json': Print in JSON format 'TEMPLATE': Print output using the given Go template.",
} as const;
const sizeFlag = { kind: "bool", short: "s", help: "Display total file sizes if the type is container" } as const;

/** Prints what was found, then tells what was not, as Docker does. */
async function show(
  context: CommandContext<FlagTable>,
  format: string | undefined,
  look: (name: string) => Promise<unknown>,
): Promise<void> {
  const { args, out } = context;
  const template = format === undefined || format === "json" ? null : new GoTemplate(format, "error");
  const found: unknown[] = [];
  const errors: string[] = [];
  for (const name of args) {
    try {
      found.push(await look(name));
    } catch (error) {
      if (!(error instanceof ApiError) && !(error instanceof CliError)) throw error;
      errors.push(error instanceof ApiError ? `Error response from daemon: ${error.message}` : error.message);
    }
  }
  if (template !== null) for (const value of found) out.line(template.render(value));
  else if (format === "json") for (const value of found) out.line(goJson(value));
  else out.line(found.length === 0 ? "[]" : JSON.stringify(found, null, 4));
  if (errors.length > 0) throw new CliError(errors.join("\n"), 1);
}

function inspectOne(
  kind: Kind,
  path: string,
  summary: string,
  completes: "containers" | "images" | "volumes" | "networks",
) {
  return command({
    path,
    usage: `${kind.toUpperCase()} [${kind.toUpperCase()}...]`,
    summary,
    args: { min: 1, max: Number.POSITIVE_INFINITY },
    completes,
    flags: { format: formatFlag, ...(kind === "container" && { size: sizeFlag }) } as {
      format: typeof formatFlag;
      size: typeof sizeFlag;
    },
    run: (context) =>
      show(context, context.flags.format, (name) =>
        context.engine.json("GET", paths[kind](name), { query: { size: kind === "container" && context.flags.size } }),
      ),
  });
}

export const containerInspect = inspectOne(
  "container",
  "container inspect",
  "Display detailed information on one or more containers",
  "containers",
);
export const imageInspect = inspectOne(
  "image",
  "image inspect",
  "Display detailed information on one or more images",
  "images",
);
export const volumeInspect = inspectOne(
  "volume",
  "volume inspect",
  "Display detailed information on one or more volumes",
  "volumes",
);
export const networkInspect = inspectOne(
  "network",
  "network inspect",
  "Display detailed information on one or more networks",
  "networks",
);

export const inspect = command({
  path: "inspect",
  usage: "NAME|ID [NAME|ID...]",
  summary: "Return low-level information on Skiff objects",
  args: { min: 1, max: Number.POSITIVE_INFINITY },
  completes: "containers",
  flags: {
    format: formatFlag,
    size: sizeFlag,
    type: { kind: "string", help: "Only inspect objects of the given type" },
  },
  async run(context) {
    const { flags, engine } = context;
    const { type } = flags;
    if (type !== undefined && !(type in paths)) throw new CliError(`"${type}" is not a valid value for --type`, 1);
    const kinds = type === undefined ? (Object.keys(paths) as Kind[]) : [type as Kind];
    await show(context, flags.format, async (name) => {
      for (const kind of kinds) {
        try {
          return await engine.json("GET", paths[kind](name), { query: { size: kind === "container" && flags.size } });
        } catch (error) {
          if (!(error instanceof ApiError) || (error.status !== 404 && error.status !== 400)) throw error;
        }
      }
      throw new CliError(type === undefined ? `Error: No such object: ${name}` : `Error: No such ${type}: ${name}`, 1);
    });
  },
});
