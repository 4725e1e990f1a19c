/** One output stream. `columns` and `rows` are known only on a terminal. */
export interface Terminal {
  write(text: string): void;
  readonly isTTY: boolean;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

/** The files a command may touch. Rejections are node's system errors. */
interface Files {
  readText(path: string): Promise<string>;
  /** Bytes. */
  size(path: string): Promise<number>;
  /** The file's bytes in order; each call reads from the start. */
  chunks(path: string): AsyncIterable<Uint8Array>;
  /** Creates a file with these permission bits; rejects with EEXIST rather than overwrite. */
  create(path: string, text: string, mode: number): Promise<void>;
}

/** Everything the command line needs of the world, so that all of it runs in a test. */
export interface Io {
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  readonly files: Files;
  /** All of standard input as text. */
  stdin(): Promise<string>;
  now(): Date;
  /** Resolves after `ms`, or at once when `signal` aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Uniform in [0, 1). */
  random(): number;
  /** A new idempotency key. */
  newKey(): string;
  /** Aborts after `ms`. */
  deadline(ms: number): AbortSignal;
  /** Aborts when the user interrupts. */
  readonly interrupted: AbortSignal;
}
