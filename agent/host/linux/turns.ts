import { kernelError } from "../sysfs-port.ts";

interface Turn {
  readonly changes: boolean;
  readonly ended: Promise<unknown>;
}

/**
 * One call per key at a time. A change waits for the calls before it that only read; whatever comes
 * while a change is under way is told EBUSY, because that one may take minutes or never end.
 */
export class Turns {
  readonly #last = new Map<string, Turn>();

  /** Calls `use` when it is its turn. Rejects with EBUSY, or as `use` does. */
  async take<T>(key: string, reads: boolean, use: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key);
    if (before?.changes === true) throw kernelError("EBUSY", `a tool works on ${key}`);
    const result = (before?.ended ?? Promise.resolve()).then(use);
    const ended = result.then(
      () => undefined,
      () => undefined,
    );
    const turn = { changes: !reads, ended };
    this.#last.set(key, turn);
    try {
      return await result;
    } finally {
      if (this.#last.get(key) === turn) this.#last.delete(key);
    }
  }
}
