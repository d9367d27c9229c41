import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { digestOf } from "#spec/oci/digest.ts";
import type { RuntimeSpec } from "#spec/oci/runtime.ts";

/** crun takes a ready-made filter from here, base64. @see crun(1), annotations */
const annotation = "run.oci.seccomp_bpf_data";

/**
 * Compiled seccomp filters. Compiling Docker's profile takes libseccomp about 15 ms, more than all the rest of a start;
 * crun leaves the result in the container's state, and the next container with the same profile gets it as it is.
 */
export class SeccompCache {
  readonly #filters = new Map<string, string>();
  readonly #keys = new WeakMap<object, string>();

  constructor(private readonly directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Profiles are shared values: each is hashed once. */
  #key(profile: object): string {
    const known = this.#keys.get(profile);
    if (known !== undefined) return known;
    const key = digestOf(JSON.stringify(profile)).slice("sha256:".length);
    this.#keys.set(profile, key);
    return key;
  }

  #filter(key: string): string | null {
    const known = this.#filters.get(key);
    if (known !== undefined) return known;
    try {
      const filter = readFileSync(join(this.directory, key)).toString("base64");
      this.#filters.set(key, filter);
      return filter;
    } catch {
      return null;
    }
  }

  /** The spec with its compiled filter, if that is known. The profile itself stays in: a runtime without this knack compiles it. */
  withFilter(spec: RuntimeSpec): RuntimeSpec {
    const { seccomp } = spec.linux;
    // An annotation of the user's own must not put another filter in our profile's place.
    const { [annotation]: _dropped, ...annotations } = spec.annotations ?? {};
    const filter = seccomp === undefined ? null : this.#filter(this.#key(seccomp));
    return { ...spec, annotations: filter === null ? annotations : { ...annotations, [annotation]: filter } };
  }

  /** Keeps what the runtime compiled for a container that has just been created. */
  learn(spec: RuntimeSpec, compiledFile: string): void {
    const { seccomp } = spec.linux;
    if (seccomp === undefined) return;
    const key = this.#key(seccomp);
    if (this.#filter(key) !== null) return;
    try {
      const bytes = readFileSync(compiledFile);
      if (bytes.byteLength === 0) return;
      const path = join(this.directory, key);
      writeFileSync(`${path}.new`, bytes, { mode: 0o600 });
      renameSync(`${path}.new`, path);
    } catch {
      // the next container compiles it again
    }
  }
}
