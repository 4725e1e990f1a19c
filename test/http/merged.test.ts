import { array, assert, asyncProperty, integer } from "fast-check";
import { expect, test } from "vitest";
import { isFault } from "#domain/faults";
import type { List, Wanted } from "#store/lists";
import { mergedPage, type Source } from "../../functions/parts/merged.ts";

/** A list as the table pages it: the token stands behind the last entry that was given. */
function sourceOf(entries: readonly number[], asked: number[] = []): Source<number> {
  return async ({ limit = 50, after }: Wanted): Promise<List<number>> => {
    asked.push(limit);
    const from = after === undefined ? 0 : Number(after);
    const to = from + limit;
    const items = entries.slice(from, to);
    return to < entries.length ? { items, next: String(to) } : { items };
  };
}

const descending = array(integer({ min: 0, max: 50 }), { maxLength: 40 }).map((entries) =>
  entries.toSorted((a, b) => b - a),
);
const isBefore = (one: number, other: number) => one > other;

async function all(
  sources: readonly [Source<number>, Source<number>],
  limit: number,
): Promise<readonly number[]> {
  const found: number[] = [];
  let after: string | undefined;
  for (let pages = 0; pages < 200; pages += 1) {
    const page = await mergedPage(sources, isBefore, { limit, after });
    expect(page.items.length).toBeLessThanOrEqual(limit);
    found.push(...page.items);
    if (page.next === undefined) return found;
    expect(page.items).toHaveLength(limit);
    after = page.next;
  }
  throw new Error("the list does not end");
}

test("pages of any size give every entry of both lists once, in order", async () => {
  await assert(
    asyncProperty(descending, descending, integer({ min: 1, max: 9 }), async (a, b, limit) => {
      const merged = await all([sourceOf(a), sourceOf(b)], limit);
      expect(merged).toEqual([...a, ...b].toSorted((one, other) => other - one));
    }),
  );
});

test("a page costs at most two looks into each list, none of them longer than the page", async () => {
  const asked: number[] = [];
  const sources = [sourceOf([9, 7, 5], asked), sourceOf([8, 6, 4], asked)] as const;
  await mergedPage(sources, isBefore, { limit: 2 });
  expect(asked).toEqual([2, 2, 1, 1]);
});

test.each(["x", "", "e30", "W10", "WzEsMl0", "WyIiLCIiLCIiXQ"])(
  "the token %j is none of ours and is refused",
  async (after) => {
    const page = mergedPage([sourceOf([1]), sourceOf([2])], isBefore, { after });
    const error: unknown = await page.catch((caught: unknown) => caught);
    expect(isFault(error, "INVALID_REQUEST") && error.detail.field).toBe("after");
  },
);
