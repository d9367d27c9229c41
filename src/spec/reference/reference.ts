/**
 * Names of images as Docker reads them. @see distribution's reference grammar: domain, path components, tag, digest
 */
import { EngineError } from "#base/errors.ts";
import { type Digest, isDigest } from "#spec/oci/digest.ts";

/** A parsed name: `nginx` is docker.io / library/nginx. At least one of tag and digest is set after {@link withDefaultTag}. */
export interface Reference {
  /** `docker.io` when the text names none. */
  readonly domain: string;
  /** `library/nginx`, `user/app`. */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const domainDefault = "docker.io";
const component = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const pathShape = new RegExp(`^${component}(?:/${component})*$`);
const domainShape =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$/;
const tagShape = /^[\w][\w.-]{0,127}$/;
const nameLengthMax = 255;
/** No valid reference is longer: domain and path, a tag of 128, a digest. Longer texts are not even looked at. */
const textLengthMax = 1024;
/** Names of digest algorithms: a repository of that name would make `sha256:abc` mean two things. */
const algorithms = new Set(["sha256", "sha384", "sha512"]);

function invalid(text: string, why = "invalid reference format"): EngineError {
  return new EngineError("invalid", text, why);
}

/** @throws EngineError `invalid` in Docker's words */
export function parseReference(text: string): Reference {
  if (/^[0-9a-f]{64}$/.test(text)) {
    throw invalid(text, `invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  if (text.length > textLengthMax) throw invalid(text.slice(0, nameLengthMax));
  refuseUppercase(text);
  const at = text.indexOf("@");
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest)) throw invalid(text);
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.lastIndexOf(":");
  const tagged = colon > named.lastIndexOf("/");
  const tag = tagged ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !tagShape.test(tag)) throw invalid(text);
  const { domain, path } = splitDomain(tagged ? named.slice(0, colon) : named);
  if (!domainShape.test(domain) || !pathShape.test(path)) throw invalid(text);
  if (domain.length + 1 + path.length > nameLengthMax) {
    throw invalid(text, `repository name must not be more than ${nameLengthMax} characters`);
  }
  return { domain, path, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) };
}

/** Docker looks at the case of the path, up to the first colon, before anything else. */
function refuseUppercase(text: string): void {
  const path = splitDomain(text).path.split(":", 1)[0] ?? "";
  if (path.toLowerCase() !== path)
    throw invalid(text, `invalid reference format: repository name (${path}) must be lowercase`);
}

/** The part before the first slash is a host only if it looks like one. */
function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const isHost = first !== "" && (/[.:]/.test(first) || first === "localhost" || first.toLowerCase() !== first);
  const domain = isHost ? (first === "index.docker.io" ? domainDefault : first) : domainDefault;
  const path = isHost ? name.slice(slash + 1) : name;
  return { domain, path: domain === domainDefault && !path.includes("/") ? `library/${path}` : path };
}

/** The same with `:latest` when it has neither tag nor digest. */
export function withDefaultTag(reference: Reference): Reference {
  return reference.tag === undefined && reference.digest === undefined ? { ...reference, tag: "latest" } : reference;
}

/** The short spelling of the repository: `nginx`, `user/app`, `host:5000/a/b`. */
export function familiarName(reference: Reference): string {
  if (reference.domain !== domainDefault) return `${reference.domain}/${reference.path}`;
  return reference.path.startsWith("library/") ? reference.path.slice("library/".length) : reference.path;
}

/** The short spelling with tag and digest. */
export function familiarString(reference: Reference): string {
  const tag = reference.tag === undefined ? "" : `:${reference.tag}`;
  const digest = reference.digest === undefined ? "" : `@${reference.digest}`;
  return `${familiarName(reference)}${tag}${digest}`;
}

/** The spelling with the domain: `docker.io/library/nginx:latest`. */
export function canonicalString({ domain, path, tag, digest }: Reference): string {
  return `${domain}/${path}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}

/**
 * Repository and tag out of one text, for `-t` and `import`; a separate `tag` replaces the text's own.
 * @throws EngineError `invalid` when it holds a digest or is named as a digest algorithm is
 */
export function parseTagged(text: string, separateTag = ""): { repository: string; tag: string } {
  const { domain, path, tag: ownTag = "latest", digest } = parseReference(text);
  if (digest !== undefined) throw invalid(text, "refusing to create a tag with a digest reference");
  const tag = separateTag === "" ? ownTag : separateTag;
  if (!tagShape.test(tag)) throw invalid(text, "invalid tag format");
  const repository = familiarName({ domain, path });
  if (algorithms.has(repository))
    throw invalid(text, "refusing to create an ambiguous tag using digest algorithm as name");
  return { repository, tag };
}
