import type { Command, Input } from "./command.ts";

/** Flag values of the declared kinds, by name. */
export type Values = ReadonlyMap<string, string | number | boolean | readonly string[]>;

/** Gives a command its arguments and flags by name. */
export function createInput(
  command: Command | undefined,
  flags: Values,
  words: readonly string[],
): Input {
  const indexOf = (name: string) =>
    (command?.arguments ?? []).findIndex((argument) => argument.name === name);
  return {
    argument(name) {
      const value = words[indexOf(name)];
      if (value === undefined) throw new Error(`no argument ${name}`);
      return value;
    },
    rest(name) {
      const index = indexOf(name);
      return index < 0 ? [] : words.slice(index);
    },
    text(flag) {
      const value = flags.get(flag);
      return typeof value === "string" ? value : undefined;
    },
    number(flag) {
      const value = flags.get(flag);
      return typeof value === "number" ? value : undefined;
    },
    list(flag) {
      const value = flags.get(flag);
      return Array.isArray(value) ? [...value] : undefined;
    },
    on: (flag) => flags.get(flag) === true,
    has: (flag) => flags.has(flag),
  };
}
