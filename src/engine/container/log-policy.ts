import { EngineError } from "#base/errors.ts";
import type { LogConfig } from "#spec/engine-api/container.ts";
import { parseByteSize } from "#spec/engine-api/units.ts";
import type { LogPolicy } from "#subsystems/log/log.ts";

/** Rotation is on by default, so that no container can fill the disk: 10 MB × 3. */
const standard: LogPolicy = { maxSizeBytes: 10 * 1024 * 1024, maxFiles: 3 };

/** What `--log-opt max-size` and `max-file` ask for. @throws EngineError `invalid` */
export function logPolicy(config: LogConfig | undefined): LogPolicy {
  const size = config?.Config?.["max-size"];
  const files = config?.Config?.["max-file"];
  const maxFiles = files === undefined ? standard.maxFiles : Number(files);
  if (!Number.isInteger(maxFiles) || maxFiles < 1) {
    throw new EngineError(
      "invalid",
      "max-file",
      `invalid log opt max-file: ${files}: want a whole number of at least 1`,
    );
  }
  return { maxSizeBytes: size === undefined ? standard.maxSizeBytes : parseByteSize(size), maxFiles };
}
