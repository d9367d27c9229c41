import { EngineError, errorMessage } from "#base/errors.ts";
import { RootDirectory } from "#linux/fs/in-root.ts";

/** Docker's bound: a uid or gid fits a signed 32-bit number. */
const idMax = 2 ** 31 - 1;
const fileBytesMax = 8 * 1024 * 1024;

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** The primary group first, then those that list the user, then `--group-add`; no number twice. */
  readonly additionalGids: number[];
  readonly home: string;
}

export interface UserRequest {
  /** `""`, `user`, `uid`, `user:group`, `uid:gid`. */
  readonly user: string;
  /** Of `--group-add`. */
  readonly groupAdd: readonly string[];
}

/**
 * Finds user and groups in the container's own /etc/passwd and /etc/group, read by descriptor inside `rootfs`.
 * @throws EngineError `invalid` for an unknown name, a number out of range, or files larger than 8 MiB
 */
export function resolveUser(rootfs: string, request: UserRequest): ResolvedUser {
  using root = new RootDirectory(rootfs);
  return matchUser(request, readDatabase(root, "/etc/passwd"), readDatabase(root, "/etc/group"));
}

function readDatabase(root: RootDirectory, path: string): string {
  try {
    return root.readText(path, fileBytesMax) ?? "";
  } catch (cause) {
    throw new EngineError("invalid", path, `cannot read the image's ${path}: ${errorMessage(cause)}`, { cause });
  }
}

/** A decimal number, or null. Leading signs are kept, so that `-1` is out of range and not a name. */
function parseId(text: string): number | null {
  if (!/^[+-]?\d+$/.test(text)) return null;
  const id = Number(text);
  if (!(id >= 0 && id <= idMax)) {
    throw new EngineError("invalid", text, `uids and gids must be in range 0-${idMax}`);
  }
  return id;
}

/** Lines that do not hold proper numbers are skipped: Go's parser reads them as 0, which would be root. */
function* lines(text: string, numberFields: readonly number[]): Generator<string[]> {
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const fields = line.trim().split(":");
    const sound = (index: number) => /^\d+$/.test(fields[index] ?? "") && Number(fields[index]) <= idMax;
    if (numberFields.every(sound)) yield fields;
  }
}

/** Pure part of `resolveUser`: `passwd` and `group` are the texts of the files. */
export function matchUser(request: UserRequest, passwd: string, group: string): ResolvedUser {
  const colon = request.user.indexOf(":");
  const userText = colon === -1 ? request.user : request.user.slice(0, colon);
  const groupText = colon === -1 ? "" : request.user.slice(colon + 1);
  const wantedId = userText === "" ? 0 : parseId(userText);

  let found: { name: string; uid: number; gid: number; home: string } | undefined;
  for (const [name = "", , uid, gid, , home = ""] of lines(passwd, [2, 3])) {
    if (wantedId === null ? name !== userText : Number(uid) !== wantedId) continue;
    found = { name, uid: Number(uid), gid: Number(gid), home };
    break;
  }
  if (found === undefined && wantedId === null) {
    throw new EngineError("invalid", userText, `unable to find user ${userText}: no matching entries in passwd file`);
  }
  const groups = [...lines(group, [2])].map(([name = "", , gid, members = ""]) => ({
    name,
    gid: Number(gid),
    members,
  }));
  const groupId = (text: string): number => {
    const id = parseId(text);
    if (id !== null) return id;
    const match = groups.find((entry) => entry.name === text);
    if (match !== undefined) return match.gid;
    throw new EngineError("invalid", text, `unable to find group ${text}: no matching entries in group file`);
  };
  const gid = groupText === "" ? (found?.gid ?? 0) : groupId(groupText);
  const listed =
    groupText === "" && found !== undefined
      ? groups.filter((entry) => entry.members.split(",").includes(found.name)).map((entry) => entry.gid)
      : [];
  const named = request.groupAdd.map((text) => groups.find((entry) => entry.name === text)?.gid ?? groupId(text));
  return {
    uid: found?.uid ?? wantedId ?? 0,
    gid,
    additionalGids: [...new Set([gid, ...listed, ...named])],
    home: found?.home || "/",
  };
}
