/** Of this program, as package.json has it. */
export const programVersion = "0.1.0";

/** The commit it was built from; `dev` when run from the sources. */
export const programCommit: string = process.env.SKIFF_BUILD ?? "dev";
