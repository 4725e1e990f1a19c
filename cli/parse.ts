import { parseArgs } from "node:util";
import type { Command, Flag, Input } from "./command.ts";
import { globalFlags } from "./command.ts";
import { usage } from "./failure.ts";
import { createInput, type Values } from "./input.ts";
import { didYouMean } from "./suggest.ts";

/** What argv asks for. Without a command `words` are the words that name none, perhaps a noun. */
export interface Parsed {
  readonly command: Command | undefined;
  readonly words: readonly string[];
  readonly input: Input;
}

interface Given {
  readonly flag: Flag;
  readonly rawName: string;
  readonly value: string | undefined;
  readonly inline: boolean;
}

/**
 * Reads the command line by the table. Flags may stand anywhere, so all flags of all commands are
 * known first: one name has one kind everywhere.
 * Throws INVALID_REQUEST for unknown flags and wrong values. Unknown commands are the caller's affair.
 */
export function parseCommandLine(commands: readonly Command[], argv: readonly string[]): Parsed {
  const all = uniqueFlags([...globalFlags, ...commands.flatMap((command) => command.flags ?? [])]);
  const { tokens } = parseArgs({
    args: [...argv],
    options: Object.fromEntries(all.map((flag) => [flag.name, optionOf(flag)])),
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const positionals = tokens.flatMap((token) => (token.kind === "positional" ? [token.value] : []));
  const given = tokens.flatMap((token) => {
    if (token.kind !== "option") return [];
    const flag = all.find((one) => one.name === token.name);
    if (flag === undefined) throw unknownFlag(token.rawName, all);
    return [
      { flag, rawName: token.rawName, value: token.value, inline: token.inlineValue === true },
    ];
  });
  const command = longestMatch(commands, positionals);
  if (command !== undefined) requireOwnFlags(command, given);
  const flags = readFlags(given);
  const rest = positionals.slice(command?.words.length ?? 0);
  return { command, words: positionals, input: createInput(command, flags, rest) };
}

/** INVALID_REQUEST unless every argument and required flag of the command is there, and no more. */
export function requireComplete(command: Command, parsed: Parsed): void {
  const rest = parsed.words.slice(command.words.length);
  const declared = command.arguments ?? [];
  const name = command.words.join(" ");
  declared.forEach((argument, index) => {
    const value = rest[index];
    if (value === undefined && argument.optional !== true) {
      throw usage(`${name}: ${argument.name} is missing`, argument.name, argument.help);
    }
    requireChoice(argument.name, value, argument.choices);
  });
  const extra = rest[declared.length];
  if (extra !== undefined && declared.at(-1)?.rest !== true) {
    throw usage(`${name}: ${extra} is one argument too many`);
  }
  for (const flag of command.flags ?? []) {
    const missing = flag.required === true && !parsed.input.has(flag.name);
    if (missing)
      throw usage(`${name}: --${flag.name} is missing`, flag.name, flag.value ?? "a value");
  }
}

function optionOf(flag: Flag) {
  const type = flag.kind === "switch" ? ("boolean" as const) : ("string" as const);
  return flag.short === undefined ? { type } : { type, short: flag.short };
}

function uniqueFlags(flags: readonly Flag[]): readonly Flag[] {
  return [...new Map(flags.map((flag) => [flag.name, flag])).values()];
}

function longestMatch(
  commands: readonly Command[],
  positionals: readonly string[],
): Command | undefined {
  return commands
    .filter(({ words }) => words.every((word, index) => word === positionals[index]))
    .toSorted((a, b) => b.words.length - a.words.length)[0];
}

function requireOwnFlags(command: Command, given: readonly Given[]): void {
  const own = [...globalFlags, ...(command.flags ?? [])];
  const foreign = given.find(({ flag }) => !own.some((one) => one.name === flag.name));
  if (foreign !== undefined) throw unknownFlag(foreign.rawName, own, command);
}

function unknownFlag(rawName: string, flags: readonly Flag[], command?: Command) {
  const names = flags.map((flag) => flag.name);
  const where = command === undefined ? "" : ` for ${command.words.join(" ")}`;
  const bare = rawName.replace(/^-+/, "");
  return usage(`unknown flag ${rawName}${where}${didYouMean(bare, names, "--")}`);
}

function readFlags(given: readonly Given[]): Values {
  const values = new Map<string, string | number | boolean | readonly string[]>();
  for (const one of given) {
    const { name, kind } = one.flag;
    const value = readValue(one);
    const before = values.get(name);
    values.set(name, kind === "list" ? [...(Array.isArray(before) ? before : []), value] : value);
  }
  return values;
}

function readValue({ flag, rawName, value, inline }: Given): string | number | true {
  if (flag.kind === "switch") {
    if (value !== undefined) throw usage(`${rawName}: takes no value`, flag.name, "no value");
    return true;
  }
  // "--image --wait" is a forgotten value, not an image called --wait; "-" is standard input.
  if (value === undefined || (!inline && value.startsWith("-") && value !== "-")) {
    throw usage(`${rawName}: a value is missing`, flag.name, flag.value ?? "a value");
  }
  requireChoice(rawName, value, flag.choices);
  if (flag.kind === "number") return wholeNumber(rawName, value);
  return flag.kind === "seconds" ? seconds(rawName, value) : value;
}

function requireChoice(
  name: string,
  value: string | undefined,
  choices: readonly string[] | undefined,
): void {
  if (value === undefined || choices === undefined || choices.includes(value)) return;
  const expected = choices.join(" | ");
  throw usage(
    `${name}: ${value} is not one of ${expected}${didYouMean(value, choices)}`,
    name,
    expected,
  );
}

function wholeNumber(rawName: string, value: string): number {
  if (!/^\d{1,15}$/.test(value)) {
    throw usage(`${rawName}: ${value} is not a whole number`, rawName, "a whole number");
  }
  return Number(value);
}

const unitSeconds: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600, d: 86_400 };

function seconds(rawName: string, value: string): number {
  const [, amount, unit] = /^(\d{1,9}(?:\.\d{1,3})?)([smhd]?)$/.exec(value) ?? [];
  const factor = unit === undefined ? undefined : unitSeconds[unit];
  if (amount === undefined || factor === undefined) {
    throw usage(`${rawName}: ${value} is not a time span`, rawName, "90, 90s, 15m, 2h or 7d");
  }
  return Number(amount) * factor;
}
