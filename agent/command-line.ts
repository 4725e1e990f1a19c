import { parseArgs } from "node:util";
import { Fault } from "#domain/faults";
import { without } from "./memory/without.ts";

/** Every flag of every command; a command takes the ones named in the table below. */
const flags = {
  url: { type: "string" },
  token: { type: "string" },
  name: { type: "string" },
  config: { type: "string" },
  "state-dir": { type: "string" },
  socket: { type: "string" },
  permit: { type: "string" },
  hypervisor: { type: "string" },
  domain: { type: "string" },
  help: { type: "boolean" },
  version: { type: "boolean" },
} as const;

export type Flags = Readonly<
  Partial<Record<Exclude<keyof typeof flags, "help" | "version">, string>>
>;

const everywhere = ["config", "state-dir", "socket"] as const;

/** The commands with the flags they take beside those that all take. */
const commands = {
  run: { takes: ["url"], says: "serve this machine's cards until stopped" },
  join: { takes: ["url", "token", "name"], says: "register this machine with a one-time token" },
  status: { takes: [], says: "what the running agent knows of its cards" },
  plug: {
    takes: ["permit", "hypervisor", "domain"],
    says: "hand a handle to a guest with a permit, with or without the cloud",
  },
  unplug: { takes: ["permit"], says: "take a handle from its guest with a permit" },
} as const satisfies Readonly<
  Record<string, { readonly takes: readonly (keyof Flags)[]; readonly says: string }>
>;
export type CommandName = keyof typeof commands;

/** What was asked on the command line. */
export type Invocation =
  | { readonly command: CommandName; readonly flags: Flags }
  | { readonly command: "help" | "version" };

/** Reads the arguments after the program's name. Throws INVALID_REQUEST in words for people. */
export function parseCommandLine(args: readonly string[]): Invocation {
  const { values, positionals } = parsed(args);
  const [name, extra] = positionals;
  if (values.version === true) return { command: "version" };
  if (values.help === true || name === undefined || name === "help") return { command: "help" };
  if (!isCommand(name)) {
    const expected = Object.keys(commands).join(", ");
    throw new Fault("INVALID_REQUEST", `there is no command "${name}", only ${expected}`);
  }
  if (extra !== undefined) throw new Fault("INVALID_REQUEST", `what is "${extra}" for?`);
  const given = without(values, "help", "version");
  const takes: readonly string[] = [...everywhere, ...commands[name].takes];
  const stray = Object.keys(given).find((flag) => !takes.includes(flag));
  if (stray !== undefined) throw new Fault("INVALID_REQUEST", `${name} takes no --${stray}`);
  return { command: name, flags: given };
}

/** What `--help` prints. */
export function helpText(): string {
  const lines = Object.entries(commands).map(([name, { takes, says }]) => {
    const usage = [name, ...takes.map((flag) => `[--${flag} …]`)].join(" ");
    return `  ${usage}\n      ${says}`;
  });
  const common = everywhere.map((flag) => `[--${flag} …]`).join(" ");
  return `usage: gatehouse-agent <command> ${common}\n\n${lines.join("\n")}\n`;
}

/** A flag a command cannot do without. INVALID_REQUEST when it is missing. */
export function required(given: Flags, flag: keyof Flags): string {
  const value = given[flag];
  if (value === undefined || value === "") {
    throw new Fault("INVALID_REQUEST", `--${flag} is needed`, { field: flag });
  }
  return value;
}

function isCommand(name: string): name is CommandName {
  return Object.hasOwn(commands, name);
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: flags, allowPositionals: true, strict: true });
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : "unreadable arguments";
    throw new Fault("INVALID_REQUEST", message, {}, { cause });
  }
}
