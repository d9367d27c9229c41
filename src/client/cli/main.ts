export async function runCli(argv: readonly string[]): Promise<number> {
  throw new Error(`not built yet: ${argv.join(" ")}`);
}
