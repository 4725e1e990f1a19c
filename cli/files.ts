import { usage } from "./failure.ts";
import type { Io } from "./io.ts";

const reasons: ReadonlyMap<string, string> = new Map([
  ["ENOENT", "no such file"],
  ["EACCES", "not readable by you"],
  ["EISDIR", "a directory"],
  ["EEXIST", "exists already, it is not overwritten"],
]);

/** Text of a file, or of standard input for `-`. Throws INVALID_REQUEST naming the path. */
export function readFile(io: Io, path: string): Promise<string> {
  return path === "-" ? io.stdin() : withPath(path, io.files.readText(path));
}

/** Turns a system error about a path that the user gave into INVALID_REQUEST. */
export async function withPath<Result>(path: string, work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    const reason = reasons.get(systemCode(error) ?? "");
    if (reason === undefined) throw error;
    throw Object.assign(usage(`${path}: ${reason}`), { cause: error });
  }
}

/** Parses what a file holds. Throws INVALID_REQUEST naming the path. */
export function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw usage(`${path} is not JSON: ${reason}`, "file", "JSON");
  }
}

/** True when the error, or what caused it, is about a file that does not exist. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && systemCode(error.cause ?? error) === "ENOENT";
}

/** The `code` of node's system errors. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
