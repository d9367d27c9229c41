import { EngineError } from "#base/errors.ts";

const createPrefix =
  "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: ";
const execPrefix = "OCI runtime exec failed: exec failed: unable to start container process: ";

/**
 * What a runtime's refusal means to Docker's users, who know it from the words: "executable file not found" is exit code
 * 127, "permission denied" 126.
 * @param said the runtime's stderr
 * @param command first word of what was to be run
 */
export function startError(doing: "create" | "exec", subject: string, said: string, command: string): EngineError {
  const prefix = doing === "create" ? createPrefix : execPrefix;
  const quoted = JSON.stringify(command);
  const text = said.trim().split("\n").at(-1) ?? "";
  const reason = text.replace(/^.*?(?:error|ERRO)[^:]*:\s*/i, "");
  if (/chdir|cwd|working directory/i.test(text)) {
    return new EngineError("invalid", subject, `${prefix}${reason}`);
  }
  if (/open executable: (?:Operation not permitted|Permission denied)/.test(text)) {
    return new EngineError("invalid", subject, `${prefix}exec: ${quoted}: permission denied`);
  }
  const aboutCommand = text.includes("executable") || text.includes(command);
  if (aboutCommand && /not found in \$PATH/.test(text)) {
    const why = command.includes("/")
      ? `stat ${command}: no such file or directory`
      : "executable file not found in $PATH";
    return new EngineError("invalid", subject, `${prefix}exec: ${quoted}: ${why}`);
  }
  if (aboutCommand && /No such file or directory/i.test(text)) {
    const why = command.includes("/")
      ? `stat ${command}: no such file or directory`
      : "executable file not found in $PATH";
    return new EngineError("invalid", subject, `${prefix}exec: ${quoted}: ${why}`);
  }
  if (aboutCommand && /permission denied/i.test(text)) {
    return new EngineError("invalid", subject, `${prefix}exec: ${quoted}: permission denied`);
  }
  return new EngineError("internal", subject, `${prefix}${text === "" ? "the runtime said nothing" : text}`);
}
