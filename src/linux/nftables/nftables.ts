/** nftables in process by libnftables; by the `nft` program where the library is not there. @see libnftables(3), nft(8) */
import { dlopen, ptr, FFIType as T } from "bun:ffi";
import { EngineError } from "#base/errors.ts";
import { cString } from "../libc.ts";

/** Runs commands in nft's own language; all of one text or none. */
export interface Nftables {
  /** @returns what the commands print @throws EngineError `internal` with nft's words */
  run(commands: string): string;
}

function openLibrary() {
  try {
    return dlopen("libnftables.so.1", {
      nft_ctx_new: { args: [T.u32], returns: T.ptr },
      nft_ctx_buffer_output: { args: [T.ptr], returns: T.i32 },
      nft_ctx_buffer_error: { args: [T.ptr], returns: T.i32 },
      nft_ctx_get_output_buffer: { args: [T.ptr], returns: T.cstring },
      nft_ctx_get_error_buffer: { args: [T.ptr], returns: T.cstring },
      nft_run_cmd_from_buffer: { args: [T.ptr, T.ptr], returns: T.i32 },
    }).symbols;
  } catch {
    return null;
  }
}

function refused(said: string): EngineError {
  return new EngineError("internal", "nftables", `nftables: ${said.trim().split("\n")[0] ?? "failed"}`);
}

function byProgram(): Nftables {
  return {
    run(commands) {
      const nft = Bun.which("nft", { PATH: "/usr/sbin:/sbin:/usr/bin:/bin" });
      if (nft === null)
        throw new EngineError("unavailable", "nft", "nftables is not installed: apt-get install nftables");
      const { exitCode, stdout, stderr } = Bun.spawnSync([nft, "-f", "-"], { stdin: Buffer.from(commands) });
      if (exitCode !== 0) throw refused(stderr.toString());
      return stdout.toString();
    },
  };
}

/** Opens nftables; root is needed when commands are run, not here. */
export function openNftables(): Nftables {
  const library = openLibrary();
  const context = library?.nft_ctx_new(0) ?? null;
  if (library === null || context === null) return byProgram();
  library.nft_ctx_buffer_output(context);
  library.nft_ctx_buffer_error(context);
  return {
    run(commands) {
      const text = cString(commands);
      const failed = library.nft_run_cmd_from_buffer(context, ptr(text)) !== 0;
      // Reading a buffer empties it: both are read each time.
      const printed = String(library.nft_ctx_get_output_buffer(context));
      const said = String(library.nft_ctx_get_error_buffer(context));
      if (failed) throw refused(said);
      return printed;
    },
  };
}
