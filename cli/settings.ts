import * as z from "zod/mini";
import { usage } from "./failure.ts";
import { isMissing, parseJson, readFile } from "./files.ts";
import type { Io } from "./io.ts";

/** Where the service is and who asks. `timeout` in seconds. */
export interface Settings {
  /** Without a slash at the end. */
  readonly url: string;
  /** A bearer token. */
  readonly token?: string;
  /** A token of Keystone, which travels in a header of its own. */
  readonly osToken?: string;
  readonly project?: string;
  readonly roles?: string;
  readonly timeout: number;
}

/** Values given as flags; they win over everything else. */
export interface GivenSettings {
  readonly url?: string | undefined;
  readonly token?: string | undefined;
  readonly osToken?: string | undefined;
  readonly project?: string | undefined;
  readonly roles?: string | undefined;
  readonly timeout?: number | undefined;
  readonly config?: string | undefined;
}

/** The offline cloud's own address (design §10). */
const defaultUrl = "http://127.0.0.1:4510";
/** The gateway ends a request at 29 s (design §8). */
const defaultTimeout = 30;

/** They travel in HTTP headers, where only visible ASCII is safe. */
const headerText = (expected: string) =>
  z.string(expected).check(z.regex(/^[\x21-\x7e]{1,8192}$/, expected));

const shape = {
  url: z.string("an http or https URL").check(z.refine(isServiceUrl, "an http or https URL")),
  token: headerText("a token without blanks"),
  osToken: headerText("a token without blanks"),
  project: headerText("a project id without blanks"),
  roles: headerText("roles separated by commas, without blanks"),
  timeout: z
    .number("seconds, more than 0")
    .check(z.positive("seconds, more than 0"), z.maximum(3600, "at most 3600 seconds")),
};

const fileSchema = z.partial(z.strictObject(shape));
type FileSettings = z.infer<typeof fileSchema>;

const textNames = ["url", "token", "osToken", "project", "roles"] as const;

/**
 * Settles the settings: flags, then GATEHOUSE_URL, _TOKEN, _OS_TOKEN, _PROJECT, _ROLES, then the file,
 * then the defaults. Throws INVALID_REQUEST that names the flag, the variable or the file's member.
 */
export async function loadSettings(io: Io, given: GivenSettings): Promise<Settings> {
  const file = await readConfig(io, given.config);
  const chosen: Record<string, string> = {};
  for (const name of textNames) {
    const value = choose(name, given[name], io.env, file);
    if (value !== undefined) chosen[name] = value;
  }
  const timeout = given.timeout ?? file.timeout ?? defaultTimeout;
  if (!shape.timeout.safeParse(timeout).success) {
    throw usage("--timeout is wrong", "timeout", "seconds, more than 0, at most 3600");
  }
  const { url = defaultUrl, ...identity } = chosen;
  return { url: url.replace(/\/+$/, ""), ...identity, timeout };
}

function choose(
  name: (typeof textNames)[number],
  flag: string | undefined,
  env: Io["env"],
  file: FileSettings,
): string | undefined {
  const words = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  if (flag !== undefined) return checked(name, `--${words}`, flag);
  const variable = `GATEHOUSE_${words.replace("-", "_").toUpperCase()}`;
  const value = env[variable];
  // An empty variable is how shells and compose files say "not set".
  if (value !== undefined && value !== "") return checked(name, variable, value);
  return file[name];
}

function checked(name: (typeof textNames)[number], source: string, value: string): string {
  const parsed = shape[name].safeParse(value);
  if (parsed.success) return parsed.data;
  const expected = parsed.error.issues[0]?.message ?? "another value";
  throw usage(`${source} is wrong`, name, expected);
}

async function readConfig(io: Io, given: string | undefined): Promise<FileSettings> {
  const path = given ?? defaultPath(io.env);
  if (path === undefined) return {};
  const text = await readFile(io, path).catch((error: unknown) => {
    if (given === undefined && isMissing(error)) return undefined;
    throw error;
  });
  return text === undefined ? {} : parseConfig(path, text);
}

function parseConfig(path: string, text: string): FileSettings {
  const parsed = fileSchema.safeParse(parseJson(path, text));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  if (issue?.code === "unrecognized_keys") {
    const expected = `only ${Object.keys(shape).join(", ")}`;
    const field = issue.keys.join(", ");
    throw usage(`${path}: ${field} is not a setting`, field, expected);
  }
  const field = issue?.path.join(".") ?? "";
  if (field === "") throw usage(`${path} is not a configuration`, "file", "a JSON object");
  const expected = issue?.message ?? "another value";
  throw usage(`${path}: ${field} is wrong`, field, expected);
}

function defaultPath(env: Io["env"]): string | undefined {
  const home = env["HOME"];
  const base = env["XDG_CONFIG_HOME"] || (home ? `${home}/.config` : undefined);
  return base === undefined ? undefined : `${base}/gatehouse/config.json`;
}

function isServiceUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  const bare = url.username === "" && url.password === "" && url.search === "" && url.hash === "";
  return bare && (url.protocol === "http:" || url.protocol === "https:");
}
