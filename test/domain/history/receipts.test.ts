import { describe, expect, test } from "vitest";
import { checkHistory } from "#domain/history/check";
import type { HistoryReceipt } from "#domain/history/receipts";

describe("receipts", () => {
  const receipt = (number: number, facts: Partial<HistoryReceipt> = {}): HistoryReceipt => ({
    deployable: "d1",
    number,
    previous: number === 1 ? "0".repeat(64) : `digest-${number - 1}`,
    digest: `digest-${number}`,
    imageGeneration: number,
    at: number,
    ...facts,
  });
  const wrong = (...receipts: HistoryReceipt[]) =>
    checkReceipts(receipts).map(({ invariant, text }) => `${invariant}: ${text}`);
  const checkReceipts = (receipts: readonly HistoryReceipt[]) =>
    checkHistory([], receipts).violations;

  test("a whole chain is right, also from its middle and backwards", () => {
    expect(wrong(receipt(3), receipt(2), receipt(1))).toEqual([]);
    expect(wrong(receipt(7), receipt(8))).toEqual([]);
    expect(wrong(receipt(1), receipt(1, { deployable: "d2" }))).toEqual([]);
  });

  test.each<[string, HistoryReceipt[], string]>([
    ["a number is missing", [receipt(1), receipt(3)], "receipts: receipt 1 is followed by 3"],
    ["a number is used twice", [receipt(1), receipt(1)], "receipts: receipt 1 is followed by 1"],
    [
      "a link is broken",
      [receipt(1), receipt(2, { previous: "x" })],
      "receipts: receipt 2 does not name the digest of 1",
    ],
    [
      "the first names another",
      [receipt(1, { previous: "x" })],
      "receipts: the first receipt names one before it",
    ],
    [
      "a generation falls",
      [receipt(1, { imageGeneration: 5 }), receipt(2, { imageGeneration: 4 })],
      "receipts: receipt 2 is of image generation 4, after 5",
    ],
  ])("it is found that %s", (_what, receipts, text) => {
    expect(wrong(...receipts)).toEqual([text]);
  });
});
