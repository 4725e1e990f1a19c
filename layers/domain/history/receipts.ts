import { grouped, type HistoryEvent, type Violation } from "./verdict.ts";

/** One receipt of a chain; `digest` is that of its own body, `at` in ms by the host's clock. */
export interface HistoryReceipt {
  readonly deployable: string;
  readonly number: number;
  readonly previous: string;
  readonly digest: string;
  readonly imageGeneration: number;
  readonly at: number;
}

/** Judges receipts: numbers follow each other, each names the digest before it, generations never fall. */
export function checkReceipts(receipts: readonly HistoryReceipt[]): readonly Violation[] {
  const chains = grouped(receipts, ({ deployable }) => deployable);
  return [...chains].flatMap(([object, chain]) => checkChain(object, chain));
}

function checkChain(object: string, chain: readonly HistoryReceipt[]): readonly Violation[] {
  const sorted = chain.toSorted((one, other) => one.number - other.number);
  return sorted.flatMap((receipt, index) => {
    const before = sorted[index - 1];
    const wrong = before === undefined ? wrongStart(receipt) : wrongLink(before, receipt);
    if (wrong === undefined) return [];
    const events = [...(before === undefined ? [] : [before]), receipt].map(eventOf);
    return [{ invariant: "receipts" as const, object, text: wrong, events }];
  });
}

function wrongStart({ number, previous }: HistoryReceipt): string | undefined {
  if (number !== 1 || /^0+$/.test(previous)) return undefined;
  return "the first receipt names one before it";
}

function wrongLink(before: HistoryReceipt, after: HistoryReceipt): string | undefined {
  if (after.number !== before.number + 1) {
    return `receipt ${before.number} is followed by ${after.number}`;
  }
  if (after.previous !== before.digest) {
    return `receipt ${after.number} does not name the digest of ${before.number}`;
  }
  return after.imageGeneration < before.imageGeneration
    ? `receipt ${after.number} is of image generation ${after.imageGeneration}, after ${before.imageGeneration}`
    : undefined;
}

function eventOf({ deployable, number, digest, at }: HistoryReceipt): HistoryEvent {
  return { id: `receipt-${number}`, at, kind: "receipt", text: `receipt ${digest}`, deployable };
}
