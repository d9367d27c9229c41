/** Locks of a data-root; here so that the daemon needs no floor below the store. */
export { tryLock } from "#linux/fs/files.ts";
