import { type Api, createApi } from "./api.ts";
import type { Command, Context, Input, Output } from "./command.ts";
import { helpText, unknownCommand } from "./commands/tools.ts";
import { commands } from "./commands.ts";
import { exitOf, usage } from "./failure.ts";
import type { Io } from "./io.ts";
import { type Parsed, parseCommandLine, requireComplete } from "./parse.ts";
import { createProgress, noProgress } from "./progress.ts";
import { describeError } from "./report-error.ts";
import { loadSettings, type Settings } from "./settings.ts";
import { version } from "./version.ts";

/**
 * Runs one command line, `argv` without node and script. Answers go to stdout, everything else to
 * stderr. Resolves to the exit code: 0, 2 to 9 by fault class (faults.ts), 130 after an interrupt,
 * 1 for the unexpected. Never rejects.
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  try {
    const parsed = parseCommandLine(commands, argv);
    if (parsed.input.on("version")) return say(io, version);
    if (parsed.input.on("help") || argv.length === 0) {
      return say(io, helpText(commands, parsed.command?.words ?? parsed.words));
    }
    const { command } = parsed;
    if (command === undefined) throw unknownCommand(commands, parsed.words);
    await execute(command, parsed, io);
    return 0;
  } catch (error) {
    io.stderr.write(`${describeError(error, io)}\n`);
    return exitOf(error);
  }
}

async function execute(command: Command, parsed: Parsed, io: Io): Promise<void> {
  requireComplete(command, parsed);
  const mode = modeOf(parsed.input);
  const settings = await settingsFor(command, parsed.input, io);
  const api = command.calls.length === 0 ? noApi : createApi(io, settings, keyOf(parsed.input));
  const emit = (output: Output) => print(io, mode, output);
  const context: Context = {
    io,
    api,
    settings,
    mode,
    commands,
    emit,
    note: (text) => {
      if (mode !== "quiet") io.stderr.write(`${text}\n`);
    },
    progress: (label) => (mode === "quiet" ? noProgress : createProgress(io.stderr, label)),
  };
  warnOfPlainToken(context);
  const output = await command.run(context, parsed.input);
  if (output !== undefined) emit(output);
}

function modeOf(input: Input): Context["mode"] {
  if (input.on("json") && input.on("quiet")) {
    throw usage("--json and --quiet: expected one of them", "json", "one of the two");
  }
  if (input.on("json")) return "json";
  return input.on("quiet") ? "quiet" : "human";
}

/** A broken configuration must not keep anyone from reading help or making a key. */
async function settingsFor(command: Command, input: Input, io: Io): Promise<Settings> {
  if (command.calls.length === 0) return { url: "", timeout: 0 };
  return loadSettings(io, {
    url: input.text("url"),
    token: input.text("token"),
    osToken: input.text("os-token"),
    project: input.text("project"),
    roles: input.text("roles"),
    timeout: input.number("timeout"),
    config: input.text("config"),
  });
}

function keyOf(input: Input): string | undefined {
  const key = input.text("idempotency-key");
  if (key === undefined || /^[\x21-\x7e]{1,255}$/.test(key)) return key;
  const expected = "1 to 255 visible ASCII characters";
  throw usage("--idempotency-key is wrong", "idempotency-key", expected);
}

function warnOfPlainToken({ settings, note }: Context): void {
  const { token = settings.osToken, url } = settings;
  if (token === undefined || !url.startsWith("http:")) return;
  const { hostname } = new URL(url);
  const loopback = hostname === "localhost" || hostname === "[::1]" || hostname.startsWith("127.");
  if (!loopback) note(`warning: the token goes unencrypted to ${hostname}`);
}

function print(io: Io, mode: Context["mode"], output: Output): void {
  const width = io.stdout.isTTY ? io.stdout.columns : undefined;
  if (mode === "json") say(io, JSON.stringify(output.json, undefined, io.stdout.isTTY ? 2 : 0));
  else if (mode === "human") say(io, output.human(width));
  else for (const id of output.ids) say(io, id);
}

function say(io: Io, text: string): 0 {
  io.stdout.write(`${text}\n`);
  return 0;
}

const noApi: Api = {
  call: (id) => Promise.reject(new Error(`${id} is not among the command's calls`)),
};
