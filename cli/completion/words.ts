import { type Command, type Flag, globalFlags } from "../command.ts";

/** What may follow each prefix of words: `""` → nouns, `images` → verbs, `images list` → flags. */
export function nextWords(commands: readonly Command[]): ReadonlyMap<string, readonly string[]> {
  const next = new Map<string, string[]>();
  const add = (prefix: string, words: readonly string[]) => {
    next.set(prefix, [...new Set([...(next.get(prefix) ?? []), ...words])]);
  };
  for (const command of commands) {
    command.words.forEach((word, index) => add(command.words.slice(0, index).join(" "), [word]));
    const choices = (command.arguments ?? []).flatMap((argument) => argument.choices ?? []);
    add(command.words.join(" "), choices);
  }
  return next;
}

/** All flags a command takes. */
export function flagsOf(command: Command): readonly Flag[] {
  return [...(command.flags ?? []), ...globalFlags];
}

/** Flags, with their dashes, after which comes a value. */
export function valueFlags(commands: readonly Command[]): readonly string[] {
  const flags = commands.flatMap(flagsOf).filter((flag) => flag.kind !== "switch");
  return [...new Set(flags.map((flag) => `--${flag.name}`))];
}

/** In single quotes, as all three shells read them. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "’")}'`;
}
