import { Worker } from "node:worker_threads";
import { endless, type Finding, type SeedResult, thrown, type Work } from "./seeds.ts";

/** How many seeds, and who hears of them. */
export interface CrowdOptions {
  readonly first: number;
  readonly seeds: number;
  /** No seed begins after so many minutes. */
  readonly minutes: number;
  readonly workers: number;
  readonly show: (finding: Finding) => void;
  readonly say: (line: string) => void;
}

/** A run takes a second or less; one that takes this long will not end, s. */
const longestRun = 120;
const sayEvery = 30;

/** Seeds on all cores until enough or until the time is over. */
export class Crowd {
  readonly #work: Work;
  readonly #options: CrowdOptions;
  readonly #end: number;
  readonly #until: number;
  readonly #started = performance.now();
  #next: number;
  #done = 0;
  #found = 0;
  #requests = 0;
  #events = 0;
  #tableCalls = 0;
  #told = 0;

  constructor(work: Work, options: CrowdOptions) {
    this.#work = work;
    this.#options = options;
    this.#next = options.first;
    this.#end = options.first + options.seeds;
    this.#until = this.#started + options.minutes * 60_000;
  }

  /** True when there was a seed and none of them found anything. */
  async run(): Promise<boolean> {
    await Promise.all(Array.from({ length: this.#options.workers }, () => this.#employ()));
    this.#summary();
    return this.#found === 0 && this.#done > 0;
  }

  /** One worker after the other: one whose run does not end is given up, the next goes on. */
  async #employ(): Promise<void> {
    while (this.#isOpen()) await this.#shift();
  }

  #isOpen(): boolean {
    return this.#next < this.#end && performance.now() < this.#until;
  }

  #shift(): Promise<void> {
    const worker = new Worker(new URL("worker.ts", import.meta.url), {
      workerData: this.#work,
      // Nearly everything dies young: the larger its place, the less of it has to be copied.
      resourceLimits: { maxYoungGenerationSizeMb: 64 },
    });
    return new Promise((resolve, reject) => {
      let seed = 0;
      let watch: NodeJS.Timeout | undefined;
      const leave = () => {
        clearTimeout(watch);
        worker.terminate().then(() => resolve(), reject);
      };
      const rewind = () => {
        clearTimeout(watch);
        watch = setTimeout(() => {
          this.#take({ kind: "found", finding: endless(seed, this.#work, longestRun) });
          leave();
        }, longestRun * 1000);
      };
      const give = () => {
        if (!this.#isOpen()) {
          leave();
          return;
        }
        seed = this.#next;
        this.#next += 1;
        worker.postMessage(seed, []);
      };
      worker.on("message", (said: SeedResult | "begun") => {
        rewind();
        if (said === "begun") return;
        this.#take(said);
        give();
      });
      worker.on("error", (error) => {
        this.#take({ kind: "found", finding: thrown(seed, this.#work, error) });
        leave();
      });
      give();
    });
  }

  #take(seed: SeedResult): void {
    this.#done += 1;
    this.#requests += seed.result?.requests ?? 0;
    this.#events += seed.result?.events ?? 0;
    this.#tableCalls += seed.result?.tableCalls ?? 0;
    if (seed.kind === "found") {
      this.#found += 1;
      this.#options.show(seed.finding);
    }
    const seconds = (performance.now() - this.#started) / 1000;
    if (seconds - this.#told < sayEvery) return;
    this.#told = seconds;
    this.#summary();
  }

  #summary(): void {
    const seconds = (performance.now() - this.#started) / 1000;
    const rate = (count: number) => (count / seconds).toFixed(count / seconds < 10 ? 2 : 0);
    this.#options.say(
      `seeds ${this.#options.first} to ${this.#next - 1}: ${this.#done} done, ` +
        `${this.#found} found something; ${seconds.toFixed(0)} s, ` +
        `${rate(this.#done)} seeds/s, ${rate(this.#done * this.#work.ops)} ops/s, ` +
        `${rate(this.#requests)} requests/s, ${rate(this.#tableCalls)} table calls/s, ` +
        `${rate(this.#events)} events/s`,
    );
  }
}
