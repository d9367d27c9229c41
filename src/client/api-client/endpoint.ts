import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** How to reach a daemon. */
export type Endpoint =
  | { readonly kind: "unix"; readonly path: string; readonly host: string }
  | {
      readonly kind: "tcp";
      readonly hostname: string;
      readonly port: number;
      readonly tls: TlsMaterial | null;
      readonly host: string;
    };

export interface TlsMaterial {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly verify: boolean;
}

export interface EndpointOptions {
  /** `-H` */
  readonly host?: string;
  /** `--context` */
  readonly context?: string;
  readonly tls?: boolean;
  readonly tlsVerify?: boolean;
  readonly tlsCaCert?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

export const socketDefault = "/run/skiff.sock";

/** The folder of Docker's client configuration; Skiff reads the same. */
export function configDirectory(environment: Record<string, string | undefined> = process.env): string {
  return environment.DOCKER_CONFIG || join(environment.HOME || homedir(), ".docker");
}

/**
 * Where to connect: `-H`, then `--context`, then DOCKER_HOST, then DOCKER_CONTEXT, then the default socket.
 * @throws Error naming what is wrong with the address or context
 */
export function chooseEndpoint(options: EndpointOptions, environment: Record<string, string | undefined>): Endpoint {
  if (options.host !== undefined && options.context !== undefined) {
    throw new Error("conflicting options: cannot specify both --host and --context");
  }
  const fromEnvironment = environment.DOCKER_HOST || undefined;
  const contextName = options.context ?? (fromEnvironment === undefined ? environment.DOCKER_CONTEXT : undefined);
  const named =
    options.host === undefined && contextName !== undefined && contextName !== "" && contextName !== "default"
      ? contextHost(contextName, environment)
      : null;
  const host =
    options.host ?? named ?? (options.context === "default" ? undefined : fromEnvironment) ?? `unix://${socketDefault}`;
  return parseEndpoint(host, options, environment);
}

function parseEndpoint(
  host: string,
  options: EndpointOptions,
  environment: Record<string, string | undefined>,
): Endpoint {
  const [, scheme, rest = ""] = /^(\w+):\/\/(.*)$/.exec(host) ?? [undefined, "tcp", host];
  if (scheme === "unix") return { kind: "unix", path: rest, host };
  if (scheme !== "tcp" && scheme !== "http" && scheme !== "https")
    throw new Error(`unable to parse docker host \`${host}\``);
  const match = /^(\[[^\]]+\]|[^:/]+)?(?::(\d+))?\/?$/.exec(rest);
  if (match === null) throw new Error(`unable to parse docker host \`${host}\``);
  const tls = tlsMaterial(options, environment, scheme === "https");
  return {
    kind: "tcp",
    hostname: match[1] ?? "127.0.0.1",
    port: Number(match[2] ?? (tls === null ? 2375 : 2376)),
    tls,
    host,
  };
}

function tlsMaterial(
  options: EndpointOptions,
  environment: Record<string, string | undefined>,
  always: boolean,
): TlsMaterial | null {
  const verify = options.tlsVerify ?? (environment.DOCKER_TLS_VERIFY ?? "") !== "";
  if (!verify && options.tls !== true && !always) return null;
  const folder = environment.DOCKER_CERT_PATH || configDirectory(environment);
  const read = (path: string | undefined, name: string) => {
    const file = path ?? join(folder, name);
    return existsSync(file) ? readFileSync(file, "utf8") : undefined;
  };
  return {
    ca: read(options.tlsCaCert, "ca.pem"),
    cert: read(options.tlsCert, "cert.pem"),
    key: read(options.tlsKey, "key.pem"),
    verify,
  };
}

/** A context is a folder named by the hash of its name. */
function contextHost(name: string, environment: Record<string, string | undefined>): string {
  const folder = new Bun.CryptoHasher("sha256").update(name).digest("hex");
  const path = join(configDirectory(environment), "contexts", "meta", folder, "meta.json");
  if (!existsSync(path))
    throw new Error(`context "${name}": context not found: open ${path}: no such file or directory`);
  const meta = JSON.parse(readFileSync(path, "utf8")) as { Endpoints?: { docker?: { Host?: string } } };
  const host = meta.Endpoints?.docker?.Host;
  if (host === undefined) throw new Error(`context "${name}" has no docker endpoint`);
  return host;
}
