import type { Discovery, Driver } from "./drivers/driver.ts";
import type { Runtime } from "./runtime.ts";

/** Time between two scans, ms (host.md §1.8). */
export const scanMs = 5000;
/** Time between an event and its scan, ms: noticed within a second, and once. */
const settleMs = 200;

/** Looks for cards again and again; the first scan is awaited by {@link Discoverer.scan}. */
export class Discoverer {
  readonly #driver: Driver;
  readonly #runtime: Runtime;
  readonly #found: (discovery: Discovery) => Promise<void>;
  readonly #stop = new AbortController();
  #wait = new AbortController();
  #last: number;
  #problems = "[]";

  constructor(driver: Driver, runtime: Runtime, found: (discovery: Discovery) => Promise<void>) {
    this.#driver = driver;
    this.#runtime = runtime;
    this.#found = found;
    this.#last = runtime.clock.monotonic();
  }

  /** One scan. Never rejects: a scan that fails leaves what is known. */
  async scan(): Promise<void> {
    try {
      const discovery = await this.#driver.discover();
      const problems = JSON.stringify(discovery.problems);
      if (problems !== this.#problems) {
        this.#runtime.log("discovery-problems", { problems: discovery.problems });
        this.#problems = problems;
      }
      await this.#found(discovery);
      this.#last = this.#runtime.clock.monotonic();
    } catch (error) {
      this.#runtime.log("discovery-failed", { error: String(error) });
    }
  }

  /** Scans every `ms`, and soon after every {@link changed}, until {@link stop}. */
  async run(ms: number): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      this.#wait = new AbortController();
      await this.#runtime.sleep(ms, AbortSignal.any([signal, this.#wait.signal]));
      // One change brings many events: what comes meanwhile is in the same scan.
      if (this.#wait.signal.aborted) await this.#runtime.sleep(settleMs, signal);
      if (!signal.aborted) await this.scan();
    }
  }

  /** Something about this host's devices is different: the next scan comes at once. */
  changed(): void {
    this.#wait.abort();
  }

  stop(): void {
    this.#stop.abort();
  }

  /** Ms since the last scan that succeeded. */
  age(): number {
    return this.#runtime.clock.monotonic() - this.#last;
  }
}
