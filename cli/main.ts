import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import type { Io, Terminal } from "./io.ts";
import { run } from "./run.ts";

const interrupt = new AbortController();
// Once: a second interrupt ends the process at once, as people expect of an impatient Ctrl-C.
process.once("SIGINT", () => interrupt.abort());

const io: Io = {
  stdout: terminal(process.stdout),
  stderr: terminal(process.stderr),
  env: process.env,
  fetch,
  files: {
    readText: (path) => readFile(path, "utf8"),
    size: async (path) => (await stat(path)).size,
    chunks: (path) => createReadStream(path, { highWaterMark: 1024 * 1024 }),
    create: (path, contents, mode) => writeFile(path, contents, { mode, flag: "wx" }),
  },
  stdin: () => text(process.stdin),
  now: () => new Date(),
  sleep: (ms, signal) => delay(ms, undefined, { signal }).catch(() => undefined),
  random: Math.random,
  newKey: randomUUID,
  deadline: (ms) => AbortSignal.timeout(Math.ceil(ms)),
  interrupted: interrupt.signal,
};

// No top-level await: the bundle is CommonJS. `run` never rejects.
void run(process.argv.slice(2), io).then((code) => {
  process.exitCode = code;
});

function terminal(stream: NodeJS.WriteStream): Terminal {
  // `gatehouse events | head` closes the pipe: nobody reads on, so there is nothing to report.
  stream.on("error", (error: NodeJS.ErrnoException) => {
    process.exit(error.code === "EPIPE" ? 0 : 1);
  });
  return {
    write: (output) => {
      stream.write(output);
    },
    isTTY: stream.isTTY,
    get columns() {
      return stream.columns;
    },
    get rows() {
      return stream.rows;
    },
  };
}
