import type { FaultKind } from "./faults.ts";
import { type StockImage, stockImages } from "./images.ts";
import { quietly } from "./quiet.ts";
import { type RunOptions, type RunResult, run } from "./run.ts";
import { type Cut, shrink } from "./shrink.ts";

/** What many runs have in common. */
export interface Work {
  readonly ops: number;
  readonly hosts: number;
  readonly faults?: readonly FaultKind[] | undefined;
  readonly plant?: string | undefined;
}

/** A seed that found something, with the smallest run that was found to show it. */
export interface Finding {
  readonly seed: number;
  readonly what: string;
  readonly invariant: string;
  readonly replay: string;
  /** Absent when something was thrown that nobody expects: then there is only the whole run. */
  readonly cut?: Cut | undefined;
}

/** What came of one seed. */
export type SeedResult =
  | { readonly kind: "held"; readonly seed: number; readonly result: RunResult }
  | { readonly kind: "found"; readonly finding: Finding; readonly result?: RunResult | undefined };

/** Runs seeds one after the other, and shrinks what it finds. */
export class Seeds {
  readonly #work: Work;
  readonly #images: readonly StockImage[] = stockImages();
  readonly #begun: () => void;

  /** `begun` is told of every run before it begins: who hears nothing for long knows one that hangs. */
  constructor(work: Work, begun: () => void = () => undefined) {
    this.#work = work;
    this.#begun = begun;
  }

  async run(seed: number, changes: Partial<RunOptions> = {}): Promise<RunResult> {
    this.#begun();
    return await quietly(() => run({ ...this.#work, seed, images: this.#images, ...changes }));
  }

  /** One seed; a violation is shrunk when `isShrunk`. */
  async judge(seed: number, isShrunk = true): Promise<SeedResult> {
    let result: RunResult;
    try {
      result = await this.run(seed);
    } catch (error) {
      return { kind: "found", finding: thrown(seed, this.#work, error) };
    }
    const { violation, faults } = result;
    if (violation === undefined) return { kind: "held", seed, result };
    const all = Array.from({ length: this.#work.ops }, (_, id) => id);
    const { invariant, message, at } = violation;
    const rerun = async (one: Cut) => {
      const again = await this.run(seed, one).catch(() => undefined);
      return again?.violation?.invariant;
    };
    const whole: Cut = { keep: all, faults };
    const cut = isShrunk ? await shrink(whole, invariant, rerun) : whole;
    const what = `${message} (at ${at} ms)`;
    const replay = replayOf(seed, this.#work, isShrunk ? cut : undefined);
    return { kind: "found", finding: { seed, what, invariant, replay, cut }, result };
  }
}

/** A run that ended with an error that nobody expects. */
export function thrown(seed: number, work: Work, error: unknown): Finding {
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { seed, what, invariant: "thrown", replay: replayOf(seed, work) };
}

/** A run that did not come to its end. */
export function endless(seed: number, work: Work, seconds: number): Finding {
  const what = `a run takes longer than ${seconds} s: something goes on for ever`;
  return { seed, what, invariant: "endless", replay: replayOf(seed, work) };
}

/** The line that shows it again. */
function replayOf(seed: number, { ops, hosts, plant, faults }: Work, cut?: Cut): string {
  const kinds = cut?.faults ?? faults;
  return [
    `npm run sim -- --seed ${seed} --ops ${ops} --hosts ${hosts} --verbose`,
    ...(plant === undefined ? [] : [`--plant ${plant}`]),
    ...(kinds === undefined ? [] : [`--faults ${kinds.length === 0 ? "none" : kinds.join()}`]),
    ...(cut === undefined ? [] : [`--keep ${rangesOf(cut.keep)}`]),
  ].join(" ");
}

/** Numbers in ascending order as `3,7-12,20`. */
export function rangesOf(numbers: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const number of numbers) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === number - 1) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join();
}

/** What {@link rangesOf} wrote. Throws what is neither a number nor a range. */
export function numbersOf(ranges: string): readonly number[] {
  return ranges.split(",").flatMap((range) => {
    const [, from, to = from] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? [];
    if (from === undefined) throw new Error(`${range} is no number and no range`);
    return Array.from({ length: Number(to) - Number(from) + 1 }, (_, at) => Number(from) + at);
  });
}
