import { CliError, command } from "../command.ts";
import { completionScript, shells } from "../completion-scripts.ts";

export const completion = command({
  path: "completion",
  usage: "bash|zsh|fish",
  summary: "Generate the autocompletion script for a shell",
  args: { min: 1, max: 1 },
  flags: {},
  async run({ args, out }) {
    const [shell = ""] = args;
    if (!shells.includes(shell)) throw new CliError(`unknown shell "${shell}": want ${shells.join(", ")}`, 1);
    await out.write(await completionScript(shell));
  },
});
