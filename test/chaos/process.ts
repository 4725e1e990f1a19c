import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, type WriteStream } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..", "..");

/** What a process is started as. */
export interface ProcessOptions {
  readonly name: string;
  /** Program below the repository. */
  readonly program: string;
  readonly logs: string;
  /** Setting of its failpoints. */
  readonly failpoints: string;
}

/** One process of the system that is killed and started again; its log goes on through its lives. */
export class Process {
  readonly #options: ProcessOptions;
  readonly #log: WriteStream;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(options: ProcessOptions) {
    this.#options = options;
    this.#log = createWriteStream(join(options.logs, `${options.name}.log`), { flags: "a" });
  }

  get name(): string {
    return this.#options.name;
  }

  get isRunning(): boolean {
    const child = this.#child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** Starts it in a group of its own; resolves with whether it came up before it ended. */
  async start(settings: object): Promise<boolean> {
    const { program, failpoints } = this.#options;
    const child = spawn(process.execPath, [program], {
      cwd: root,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
      env: {
        PATH: process.env["PATH"],
        GATEHOUSE_CHAOS: JSON.stringify(settings),
        GATEHOUSE_FAILPOINTS: failpoints,
      },
    });
    this.#child = child;
    this.#say(`--- started as ${child.pid}`);
    child.stdin.on("error", () => undefined);
    child.stderr.pipe(this.#log, { end: false });
    this.#ended = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        this.#say(`--- ended with ${signal ?? code}`);
        resolve();
      });
    });
    return await new Promise((resolve) => {
      child.stdout.on("data", (chunk: Buffer) => {
        this.#log.write(chunk);
        if (chunk.toString().includes("ready ")) resolve(true);
      });
      child.once("close", () => resolve(false));
      child.once("error", () => resolve(false));
    });
  }

  signal(name: NodeJS.Signals): void {
    try {
      const pid = this.#child?.pid;
      if (pid !== undefined && this.isRunning) process.kill(-pid, name);
      this.#say(`--- ${name}`);
    } catch {
      // It ended by itself in this moment.
    }
  }

  /** Kill -9, also of a stopped process; resolves when it is gone. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.#ended;
  }

  async close(): Promise<void> {
    await this.kill();
    await new Promise<void>((resolve) => this.#log.end(resolve));
  }

  #say(line: string): void {
    this.#log.write(`${new Date().toISOString()} ${line}\n`);
  }
}
