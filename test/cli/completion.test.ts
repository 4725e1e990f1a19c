import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { globalFlags } from "../../cli/command.ts";
import { commands } from "../../cli/commands.ts";
import { createShell } from "./shell.ts";

const script = async (shell: string) => (await createShell().run("completion", shell)).out;

/** What bash would offer for this line with the cursor at its end. */
async function offered(line: readonly string[]): Promise<string[]> {
  const words = ["gatehouse", ...line].map((word) => `'${word}'`).join(" ");
  const ask = `COMP_WORDS=(${words}); COMP_CWORD=${line.length}; _gatehouse; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const source = `${await script("bash")}\n${ask}`;
  const { stdout } = await promisify(execFile)("bash", ["--norc", "-c", source], { cwd: "/" });
  return stdout.trim().split("\n");
}

describe("completion", () => {
  test.each([["bash"], ["zsh"], ["fish"]])("for %s has every command and flag", async (shell) => {
    const text = await script(shell);
    for (const { words, flags } of commands) {
      const [noun = "", verb] = words;
      expect(text).toMatch(new RegExp(`\\b${noun}\\b`));
      if (shell === "fish") {
        const at = verb === undefined ? '""' : `"${noun}"`;
        expect(text).toContain(`'__gatehouse_at ${at}' -a ${words.at(-1)} `);
      } else expect(text).toContain(`"${words.join(" ")}") flags=`);
      for (const { name } of [...(flags ?? []), ...globalFlags]) {
        expect(text).toContain(shell === "fish" ? `-l ${name}` : `--${name}`);
      }
    }
  });

  test("offers nouns, verbs and flags in bash", async () => {
    const nouns = [...new Set(commands.map(({ words }) => words[0]))];
    expect(await offered([""])).toEqual(nouns);
    const verbs = commands
      .filter(({ words }) => words[0] === "quotas")
      .map(({ words }) => words[1]);
    expect(await offered(["quotas", ""])).toEqual(verbs);
    expect(await offered(["--url", "http://x", "--json", "quotas", "s"])).toEqual(["show", "set"]);
    expect(await offered(["claims", "renew", "id", "--le"])).toEqual(["--lease"]);
    expect(await offered(["completion", ""])).toEqual(["bash", "zsh", "fish"]);
  });

  test("offers files where a value or an argument is free", async () => {
    expect(await offered(["images", "upload", "et"])).toEqual(["etc"]);
    expect(await offered(["images", "sign", "x", "--key", "et"])).toEqual(["etc"]);
  });
});
