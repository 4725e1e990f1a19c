import type { OperationId } from "#protocol/http/routes";
import type { Api } from "./api.ts";
import type { Io } from "./io.ts";
import type { Progress } from "./progress.ts";
import type { Settings } from "./settings.ts";

/** How a flag's value is read: `seconds` takes 90, 90s, 15m, 2h or 7d; `list` may be repeated. */
type FlagKind = "text" | "number" | "seconds" | "switch" | "list";

export interface Flag {
  readonly name: string;
  readonly short?: string;
  readonly kind: FlagKind;
  readonly help: string;
  /** What stands for the value in help texts, such as FILE. */
  readonly value?: string;
  readonly choices?: readonly string[];
  readonly required?: true;
}

/** A positional argument. Only the last ones may be optional or take the rest. */
export interface Argument {
  readonly name: string;
  readonly help: string;
  readonly optional?: true;
  readonly rest?: true;
  readonly choices?: readonly string[];
}

/** What the user gave, already of the declared kinds. Names that were not declared are defects. */
export interface Input {
  argument(name: string): string;
  rest(name: string): readonly string[];
  text(flag: string): string | undefined;
  number(flag: string): number | undefined;
  list(flag: string): string[] | undefined;
  on(flag: string): boolean;
  /** True when the flag was given, whatever its kind. */
  has(flag: string): boolean;
}

/** An answer in its three forms: `--json`, `--quiet` and for people. */
export interface Output {
  readonly json: unknown;
  readonly ids: readonly string[];
  /** Lines without the last line break; `columns` is the terminal's width when there is one. */
  readonly human: (columns: number | undefined) => string;
}

/** What a command works with. */
export interface Context {
  readonly io: Io;
  readonly api: Api;
  readonly settings: Settings;
  readonly mode: "human" | "json" | "quiet";
  readonly commands: readonly Command[];
  /** Prints an output now; for commands that print more than once. */
  readonly emit: (output: Output) => void;
  /** A remark for people on stderr; silent with `--quiet`. */
  readonly note: (text: string) => void;
  readonly progress: (label: string) => Progress;
}

/** One row of the command table: parsing, help and completion are made from it. */
export interface Command {
  readonly words: readonly string[];
  readonly summary: string;
  readonly detail?: string;
  readonly arguments?: readonly Argument[];
  readonly flags?: readonly Flag[];
  /** Operations it may call; empty = it works without a service. */
  readonly calls: readonly OperationId[];
  readonly run: (context: Context, input: Input) => Promise<Output | undefined>;
}

/** Flags every command takes. */
export const globalFlags: readonly Flag[] = [
  { name: "help", short: "h", kind: "switch", help: "Show this help" },
  { name: "version", kind: "switch", help: "Show the version" },
  { name: "json", kind: "switch", help: "Print the API's JSON" },
  { name: "quiet", short: "q", kind: "switch", help: "Print ids only" },
  { name: "url", kind: "text", value: "URL", help: "Service (GATEHOUSE_URL)" },
  { name: "token", kind: "text", value: "TOKEN", help: "Bearer token (GATEHOUSE_TOKEN)" },
  { name: "os-token", kind: "text", value: "TOKEN", help: "Keystone token (GATEHOUSE_OS_TOKEN)" },
  {
    name: "project",
    kind: "text",
    value: "ID",
    help: "Project, without a token (GATEHOUSE_PROJECT)",
  },
  { name: "roles", kind: "text", value: "A,B", help: "Roles, without a token (GATEHOUSE_ROLES)" },
  {
    name: "timeout",
    kind: "seconds",
    value: "SECONDS",
    help: "For one request with its retries (30)",
  },
  { name: "config", kind: "text", value: "FILE", help: "Configuration file" },
  {
    name: "idempotency-key",
    kind: "text",
    value: "KEY",
    help: "Key of a write, to repeat exactly that one; made when absent",
  },
];
