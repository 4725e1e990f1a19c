import type { Runtime } from "../runtime.ts";
import type { Site } from "./site.ts";
import type { TurnResult } from "./turn.ts";

/** Waits between looks at work that cannot go on, ms: doubled up to the cap. */
const firstWait = 1000;
const longestWait = 10_000;

interface Loop {
  readonly waiting: Set<Site>;
  /** Work on the whole card; it waits until none of its deployables has a step to take. */
  readonly jobs: (() => Promise<void>)[];
  running: Promise<void> | undefined;
}

interface Retry {
  count: number;
  cancel: AbortController | undefined;
}

/**
 * One loop per card: its deployables take turns, one step each, while other cards go their own way.
 */
export class CardLoops {
  readonly #turn: (site: Site) => Promise<TurnResult>;
  readonly #runtime: Runtime;
  readonly #loops = new Map<string, Loop>();
  readonly #retries = new Map<Site, Retry>();
  readonly #cards = new Map<Site, string>();
  #stopped = false;
  #busySince = new Map<Site, number>();

  constructor(turn: (site: Site) => Promise<TurnResult>, runtime: Runtime) {
    this.#turn = turn;
    this.#runtime = runtime;
  }

  /** Gives the deployable a turn soon; `fresh` starts its waits from the shortest again. */
  wake(site: Site, fresh = true): void {
    if (this.#stopped) return;
    const retry = this.#retries.get(site);
    retry?.cancel?.abort();
    if (fresh) this.#retries.delete(site);
    const loop = this.#loopOf(site);
    loop.waiting.add(site);
    loop.running ??= this.#run(loop);
  }

  /** Runs work on a whole card once its deployables have come to rest. It must not reject. */
  alone(cardId: string, job: () => Promise<void>): void {
    if (this.#stopped) return;
    const loop = this.#loop(cardId);
    loop.jobs.push(job);
    loop.running ??= this.#run(loop);
  }

  /** Ends after the steps that run now; nothing new is begun. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { cancel } of this.#retries.values()) cancel?.abort();
    for (const { running } of this.#loops.values()) await running;
  }

  /** Ms the longest running turn has taken; 0 when none runs. */
  longestTurn(): number {
    const now = this.#runtime.clock.monotonic();
    return Math.max(0, ...[...this.#busySince.values()].map((since) => now - since));
  }

  #loopOf(site: Site): Loop {
    // A card that vanished keeps its loop, or one deployable could have two turns at once.
    const card = site.place?.device.cardId ?? this.#cards.get(site) ?? `gone ${site.id}`;
    this.#cards.set(site, card);
    return this.#loop(card);
  }

  #loop(card: string): Loop {
    const loop = this.#loops.get(card) ?? { waiting: new Set(), jobs: [], running: undefined };
    this.#loops.set(card, loop);
    return loop;
  }

  async #run(loop: Loop): Promise<void> {
    // Starts in a microtask, so that everything woken in one go is there before the first turn.
    await Promise.resolve();
    while (!this.#stopped) {
      const [site] = loop.waiting;
      if (site === undefined) {
        const job = loop.jobs.shift();
        if (job === undefined) break;
        await job();
        continue;
      }
      loop.waiting.delete(site);
      const result = await this.#take(site);
      if (result === "stepped") loop.waiting.add(site);
      if (result === "waiting") this.#later(site);
      else this.#retries.delete(site);
    }
    loop.running = undefined;
  }

  async #take(site: Site): Promise<TurnResult> {
    this.#busySince.set(site, this.#runtime.clock.monotonic());
    try {
      return await this.#turn(site);
    } catch (error) {
      const cause = error instanceof Error ? error.stack : String(error);
      this.#runtime.log("turn-failed", { deployable: site.id, cause });
      return "waiting";
    } finally {
      this.#busySince.delete(site);
    }
  }

  #later(site: Site): void {
    if (this.#stopped) return;
    const retry = this.#retries.get(site) ?? { count: 0, cancel: undefined };
    const wait = Math.min(firstWait * 2 ** Math.min(retry.count, 10), longestWait);
    const cancel = new AbortController();
    this.#retries.set(site, { count: retry.count + 1, cancel });
    const due = Math.min(wait, Math.max(1, site.rest.nextIn() ?? wait));
    void this.#runtime.sleep(due, cancel.signal).then(() => {
      if (!cancel.signal.aborted) this.wake(site, false);
    });
  }
}
