import type { Command } from "../command.ts";
import { completionScript, type Shell, shells } from "../completion/script.ts";
import { usage } from "../failure.ts";
import { commandHelp, nounHelp, overview } from "../help.ts";
import { textOutput } from "../output.ts";
import { didYouMean } from "../suggest.ts";

/** Commands about the command line itself. */
export const toolCommands: readonly Command[] = [
  {
    words: ["completion"],
    summary: "Print a completion script for a shell",
    detail: "For bash: source <(gatehouse completion bash)",
    arguments: [{ name: "SHELL", help: "Which shell", choices: shells }],
    calls: [],
    run({ commands }, input) {
      const shell = input.argument("SHELL") as Shell;
      const script = completionScript(shell, commands).trimEnd();
      return Promise.resolve(textOutput(script, { shell, script }, [shell]));
    },
  },
  {
    words: ["help"],
    summary: "Show all commands, or one of them in full",
    arguments: [{ name: "COMMAND", help: "Its words", optional: true, rest: true }],
    calls: [],
    run({ commands }, input) {
      const words = input.rest("COMMAND");
      const text = helpText(commands, words);
      return Promise.resolve(textOutput(text, { help: text }, words));
    },
  },
];

/**
 * Help for these words: everything, a noun's verbs or one command. Throws INVALID_REQUEST with the
 * nearest command when they name nothing.
 */
export function helpText(commands: readonly Command[], words: readonly string[]): string {
  if (words.length === 0) return overview(commands);
  const under = commands.filter((command) => words.every((word, at) => command.words[at] === word));
  const exact = under.find((command) => command.words.length === words.length);
  if (exact !== undefined) return commandHelp(exact);
  if (under.length > 0) return nounHelp(under);
  throw unknownCommand(commands, words);
}

/** INVALID_REQUEST for words that name no command, with the nearest one that does. */
export function unknownCommand(commands: readonly Command[], words: readonly string[]) {
  const [noun = "", verb = ""] = words;
  const sameNoun = commands.filter((command) => command.words[0] === noun);
  if (sameNoun.length > 0) {
    const verbs = sameNoun.map((command) => command.words[1] ?? "");
    const ask = verb === "" ? "" : ` ${verb}${didYouMean(verb, verbs, `${noun} `)}`;
    const text = verb === "" ? `${noun}: a verb is missing` : `unknown command ${noun}${ask}`;
    return usage(text, "command", verbs.join(" | "));
  }
  const nouns = [...new Set(commands.map((command) => command.words[0] ?? ""))];
  return usage(`unknown command ${noun}${didYouMean(noun, nouns)}`);
}
