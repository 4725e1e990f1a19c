import type { Command } from "../command.ts";
import { bashScript } from "./bash.ts";
import { fishScript } from "./fish.ts";
import { zshScript } from "./zsh.ts";

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;
export type Shell = keyof typeof scripts;

/** Shells a completion script can be made for. */
export const shells: readonly string[] = Object.keys(scripts);

/** The completion script of a shell, to be sourced. */
export function completionScript(shell: Shell, commands: readonly Command[]): string {
  return scripts[shell](commands);
}
