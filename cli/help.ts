import { type Argument, type Command, type Flag, globalFlags } from "./command.ts";

/** The overview: every command with its summary. */
export function overview(commands: readonly Command[]): string {
  return [
    "Usage: gatehouse COMMAND [ARGUMENTS] [FLAGS]",
    "",
    "Lends FPGA accelerators: images, hosts, deployables, claims.",
    "",
    ...aligned(commands.map((command) => [synopsis(command), command.summary])),
    "",
    "gatehouse help COMMAND tells its flags. All commands take:",
    ...aligned(globalFlags.map((flag) => [flagText(flag), flag.help])),
    "",
    exitClasses,
  ].join("\n");
}

/** Commands that start with these words. */
export function nounHelp(commands: readonly Command[]): string {
  return aligned(
    commands.map((command) => [`gatehouse ${synopsis(command)}`, command.summary]),
  ).join("\n");
}

/** One command in full. */
export function commandHelp(command: Command): string {
  const parts = [`Usage: gatehouse ${synopsis(command)}`, "", `${command.summary}.`];
  if (command.detail !== undefined) parts.push("", command.detail);
  const named = command.arguments ?? [];
  if (named.length > 0) {
    parts.push("", "Arguments:", ...aligned(named.map((one) => [one.name, argumentHelp(one)])));
  }
  const flags = command.flags ?? [];
  if (flags.length > 0) {
    parts.push("", "Flags:", ...aligned(flags.map((flag) => [flagText(flag), flagHelp(flag)])));
  }
  const shared = globalFlags.map((flag) => [flagText(flag), flag.help] as const);
  parts.push("", "Flags of all commands:", ...aligned(shared));
  return parts.join("\n");
}

const exitClasses = `Exit: 0 done, 1 unexpected, 2 wrong request, 3 not allowed, 4 not found, 5 conflict,
6 no capacity or quota, 7 image refused, 8 hardware or host, 9 service unavailable, 130 interrupted.`;

function synopsis(command: Command): string {
  const flags = command.flags ?? [];
  const required = flags.filter((flag) => flag.required === true).map(flagText);
  const named = (command.arguments ?? []).map((argument) => {
    const name = argument.rest === true ? `${argument.name}...` : argument.name;
    return argument.optional === true ? `[${name}]` : name;
  });
  const optional = required.length < flags.length ? ["[FLAGS]"] : [];
  return [...command.words, ...named, ...required, ...optional].join(" ");
}

function flagText(flag: Flag): string {
  const short = flag.short === undefined ? "" : `-${flag.short}, `;
  const value = flag.kind === "switch" ? "" : ` ${flag.value ?? "VALUE"}`;
  return `${short}--${flag.name}${value}`;
}

function flagHelp(flag: Flag): string {
  const notes = [
    ...(flag.required === true ? ["required"] : []),
    ...(flag.kind === "list" ? ["may be repeated"] : []),
    ...(flag.choices === undefined ? [] : [flag.choices.join(" | ")]),
  ];
  return notes.length === 0 ? flag.help : `${flag.help} (${notes.join("; ")})`;
}

function argumentHelp(argument: Argument): string {
  return argument.choices === undefined
    ? argument.help
    : `${argument.help} (${argument.choices.join(" | ")})`;
}

/** Longer names get their text on the next line, so that one of them does not push all others. */
const nameWidth = 44;

function aligned(rows: readonly (readonly [string, string])[]): string[] {
  const longest = Math.max(0, ...rows.map(([name]) => name.length));
  const width = Math.min(longest, nameWidth);
  return rows.map(([name, text]) =>
    name.length > width
      ? `  ${name}\n  ${" ".repeat(width)}  ${text}`
      : `  ${name.padEnd(width)}  ${text}`,
  );
}
