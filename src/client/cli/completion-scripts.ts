import type { Command, Completion } from "./command.ts";
import { registry, spellings } from "./registry.ts";

export const shells: readonly string[] = ["bash", "zsh", "fish"];

/** The command that lists live names of a kind. */
const listing: Record<Completion, string> = {
  containers: 'skiff ps -a --format "{{.Names}}" 2>/dev/null',
  "running-containers": 'skiff ps --format "{{.Names}}" 2>/dev/null',
  images: 'skiff images --format "{{.Repository}}:{{.Tag}}" 2>/dev/null',
  volumes: "skiff volume ls -q 2>/dev/null",
  networks: 'skiff network ls --format "{{.Name}}" 2>/dev/null',
  files: "",
  none: "",
};

interface Line {
  readonly spelling: string;
  readonly flags: readonly string[];
  readonly names: string;
}

async function commandLines(): Promise<Line[]> {
  const commands = new Map<string, Command>();
  for (const [path, { load }] of Object.entries(registry)) commands.set(path, await load());
  return [...spellings()].map(([spelling, path]) => {
    const found = commands.get(path);
    const flags = Object.entries(found?.flags ?? {}).flatMap(([name, flag]) =>
      flag.hidden === true ? [] : [`--${name}`, ...(flag.short === undefined ? [] : [`-${flag.short}`])],
    );
    return { spelling, flags: [...flags, "--help"], names: listing[found?.completes ?? "none"] };
  });
}

/** A shell's completion script, made from the commands' own tables. @param shell one of {@link shells} */
export async function completionScript(shell: string): Promise<string> {
  const lines = await commandLines();
  const firsts = [...new Set([...lines.map((line) => line.spelling.split(" ")[0] ?? ""), "daemon", "help"])].sort();
  if (shell === "fish") return fishScript(lines, firsts);
  const bash = bashScript(lines, firsts);
  return shell === "bash" ? bash : `#compdef skiff\nautoload -U +X bashcompinit && bashcompinit\n${bash}`;
}

function bashScript(lines: readonly Line[], firsts: readonly string[]): string {
  const groups = [
    ...new Set(lines.filter((line) => line.spelling.includes(" ")).map((line) => line.spelling.split(" ")[0] ?? "")),
  ];
  const groupCases = groups.map((group) => {
    const second = lines
      .filter((line) => line.spelling.startsWith(`${group} `))
      .map((line) => line.spelling.slice(group.length + 1));
    return `    ${group}) COMPREPLY=($(compgen -W "${second.join(" ")}" -- "$cur")); return ;;`;
  });
  const cases = lines.map(
    (line) => `    "${line.spelling}") flags="${line.flags.join(" ")}"; names='${line.names}' ;;`,
  );
  return `# Completion of skiff for bash, made from its command tables.
_skiff() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" words=() word path flags="" names=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do [[ $word == -* ]] || words+=("$word"); done
  if [ \${#words[@]} -eq 0 ]; then COMPREPLY=($(compgen -W "${firsts.join(" ")}" -- "$cur")); return; fi
  if [ \${#words[@]} -eq 1 ]; then case "\${words[0]}" in
${groupCases.join("\n")}
  esac; fi
  for path in "\${words[0]} \${words[1]}" "\${words[0]}"; do case "$path" in
${cases.join("\n")}
    *) continue ;;
  esac; break; done
  if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "$flags" -- "$cur"));
  elif [ -n "$names" ]; then COMPREPLY=($(compgen -W "$(eval "$names")" -- "$cur"));
  else COMPREPLY=($(compgen -f -- "$cur")); fi
}
complete -F _skiff skiff
`;
}

function fishScript(lines: readonly Line[], firsts: readonly string[]): string {
  const rows = lines.flatMap(({ spelling, flags, names }) => {
    const [first = "", second] = spelling.split(" ");
    const condition =
      second === undefined
        ? `__fish_seen_subcommand_from ${first}`
        : `__fish_seen_subcommand_from ${first}; and __fish_seen_subcommand_from ${second}`;
    const own = flags
      .filter((flag) => flag.startsWith("--"))
      .map((flag) => `complete -c skiff -n "${condition}" -l ${flag.slice(2)}`);
    return names === ""
      ? own
      : [...own, `complete -c skiff -n "${condition}" -f -a "(${names.replaceAll('"', '\\"')})"`];
  });
  return `# Completion of skiff for fish, made from its command tables.
complete -c skiff -n __fish_use_subcommand -f -a "${firsts.join(" ")}"
${rows.join("\n")}
`;
}
