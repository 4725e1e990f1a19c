import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** A Python program that answers one line of JSON with another. */
export interface Client<Reply> {
  readonly ask: (question: unknown) => Promise<Reply>;
  readonly stop: () => Promise<void>;
}

/** Starts a program of this folder with Debian's Python. One question at a time. */
export function startClient<Reply>(
  file: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Client<Reply> {
  const child = spawn("/usr/bin/python3", [join(import.meta.dirname, file), ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { PATH: "/usr/bin:/bin", HOME: "/tmp", LANG: "C.UTF-8", PYTHONWARNINGS: "ignore", ...env },
  });
  let complaints = "";
  child.stderr.on("data", (chunk: Buffer) => {
    complaints += chunk.toString();
  });
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async ask(question) {
      child.stdin.write(`${JSON.stringify(question)}\n`);
      const { done, value } = await lines.next();
      if (done === true) throw new Error(`${file} ended by itself: ${complaints.slice(-3000)}`);
      return JSON.parse(value) as Reply;
    },
    stop: async () => {
      child.stdin.end();
      await ended;
    },
  };
}
