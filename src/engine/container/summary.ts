import { durationText } from "#base/duration-text.ts";
import type { ContainerSummary } from "#spec/engine-api/container.ts";
import { networkPeer } from "./network-request.ts";
import type { Container } from "./registry.ts";
import type { Rooms } from "./rooms.ts";
import type { ContainerState } from "./state.ts";

/** The STATUS column of `ps`. */
export function statusText(state: ContainerState, nowMs: number): string {
  const since = (time: string) => durationText(nowMs - Date.parse(time));
  switch (state.status) {
    case "created":
      return "Created";
    case "running":
      return `Up ${since(state.startedAt)}`;
    case "paused":
      return `Up ${since(state.startedAt)} (Paused)`;
    case "restarting":
      return `Restarting (${state.exit.code}) ${since(state.exit.at)} ago`;
    case "exited":
      return `Exited (${state.exit.code}) ${since(state.exit.at)} ago`;
  }
}

/** The command line as `ps` shows it: words joined by blanks, those with blanks or quotes in single quotes. */
export function commandText(words: readonly string[]): string {
  return words
    .map((word) => (/[\s'"\\]/.test(word) || word === "" ? `'${word.replaceAll("'", `'\\''`)}'` : word))
    .join(" ");
}

/** One row of `ps`. `image` is what the reference still means: the name, or the id when the name moved on. */
export function summarize(
  rooms: Pick<Rooms, "networks">,
  container: Container,
  image: string,
  nowMs: number,
): ContainerSummary {
  const { definition, sandbox, mounts, state } = container.record;
  const { config, hostConfig } = definition;
  const annotations = hostConfig.Annotations;
  return {
    Id: definition.id,
    Names: [`/${definition.name}`],
    Image: image,
    ImageID: definition.imageId,
    Command: commandText([...(config.Entrypoint ?? []), ...(config.Cmd ?? [])]),
    Created: Math.floor(Date.parse(definition.createdAt) / 1000),
    Ports:
      networkPeer(definition) === null ? rooms.networks.summary(sandbox, Object.keys(config.ExposedPorts ?? {})) : [],
    Labels: config.Labels ?? {},
    State: state.status,
    Status: statusText(state, nowMs),
    HostConfig: {
      NetworkMode: hostConfig.NetworkMode ?? "bridge",
      ...(annotations !== undefined && { Annotations: annotations }),
    },
    NetworkSettings: { Networks: { ...(sandbox?.endpoints ?? {}) } },
    Mounts: [...mounts],
  };
}
