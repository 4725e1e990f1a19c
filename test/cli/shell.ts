import { Readable } from "node:stream";
import type { Io } from "../../cli/io.ts";
import { run } from "../../cli/run.ts";

/** How a command ended and what it printed. */
interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface ShellOptions {
  readonly env?: Record<string, string>;
  readonly files?: Record<string, string | Uint8Array>;
  readonly stdin?: string;
  /** Width of a terminal on both outputs; without it they are pipes. */
  readonly columns?: number;
  readonly rows?: number;
  readonly fetch?: Io["fetch"];
  readonly deadline?: Io["deadline"];
  /** Called before each sleep with its length; time passes only by sleeping. */
  readonly onSleep?: (ms: number, interrupt: () => void) => void;
}

export interface Shell {
  readonly files: Map<string, { readonly bytes: Uint8Array; readonly mode: number }>;
  readonly sleeps: number[];
  run(...argv: string[]): Promise<Ended>;
}

/** A shell whose world is in memory: files, clock, environment. Only `fetch` is real. */
export function createShell(options: ShellOptions = {}): Shell {
  const given = Object.entries(options.files ?? {});
  const files = new Map(
    given.map(([path, content]) => [path, { bytes: Buffer.from(content as string), mode: 0o644 }]),
  );
  const sleeps: number[] = [];
  return { files, sleeps, run: (...argv) => runOnce(argv) };

  async function runOnce(argv: readonly string[]): Promise<Ended> {
    const written = { out: "", err: "" };
    const interrupt = new AbortController();
    let time = Date.parse("2026-01-02T03:04:05Z");
    let keys = 0;
    const terminal = (stream: "out" | "err") => ({
      write: (text: string) => {
        written[stream] += text;
      },
      isTTY: options.columns !== undefined,
      columns: options.columns,
      rows: options.rows,
    });
    const io: Io = {
      stdout: terminal("out"),
      stderr: terminal("err"),
      env: options.env ?? {},
      fetch: options.fetch ?? fetch,
      files: memoryFiles(files),
      stdin: () => Promise.resolve(options.stdin ?? ""),
      now: () => new Date(time),
      sleep(ms) {
        time += ms;
        sleeps.push(ms);
        options.onSleep?.(ms, () => interrupt.abort());
        return Promise.resolve();
      },
      random: () => 0.5,
      newKey: () => `key-${++keys}`,
      deadline: options.deadline ?? (() => new AbortController().signal),
      interrupted: interrupt.signal,
    };
    const code = await run(argv, io);
    return { code, ...written };
  }
}

function memoryFiles(files: Shell["files"]): Io["files"] {
  const find = (path: string) => {
    const file = files.get(path);
    if (file === undefined) throw systemError("ENOENT");
    return file;
  };
  return {
    readText: async (path) => Buffer.from(find(path).bytes).toString(),
    size: async (path) => find(path).bytes.length,
    // Small chunks, so that a small file too has a beginning, a middle and an end.
    chunks: (path) => {
      const { bytes } = find(path);
      const size = Math.max(1, Math.ceil(bytes.length / 20));
      const count = Math.ceil(bytes.length / size);
      return Readable.from(
        Array.from({ length: count }, (_, index) =>
          bytes.subarray(index * size, (index + 1) * size),
        ),
      );
    },
    create: async (path, text, mode) => {
      if (files.has(path)) throw systemError("EEXIST");
      files.set(path, { bytes: Buffer.from(text), mode });
    },
  };
}

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}
