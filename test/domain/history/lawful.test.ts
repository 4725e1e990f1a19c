import { describe, expect, test } from "vitest";
import { checkHistory } from "#domain/history/check";
import {
  claimFacts,
  drop,
  findIndex,
  history,
  minute,
  move,
  quota,
  releaseRow,
  told,
} from "./lent-card.ts";
import { claimRow, recorder } from "./recorded.ts";

describe("what is no violation", () => {
  test("a release that is told within the same second as the next grant", () => {
    const events = history();
    const grantAt = events[findIndex(events, "claim.granted", 1)]?.at ?? 0;
    const index = findIndex(events, "claim.released");
    move(() => index, grantAt + 900 - (events[index]?.at ?? 0))(events);
    expect(checkHistory(events).violations).toEqual([]);
  });

  test("a release whose event is still on its way", () => {
    const events = history();
    const last = findIndex(events, "claim.released", 1);
    const at = events[last]?.at ?? 0;
    const recent = events.filter((event, index) => index !== last && event.at <= at);
    expect(checkHistory(recent).violations).toEqual([]);
  });

  test("an open end, which is listed", () => {
    const events = history();
    const released = events.slice(0, releaseRow(events) + 1);
    expect(checkHistory(released).open).toMatchObject([
      { text: "it is scrubbing" },
      { text: "released and not proven clean yet" },
    ]);
    expect(checkHistory(released).open[1]?.object).toMatch(/\/pf$/);
    const granted = events.slice(0, findIndex(events, "claim.granted") + 1);
    expect(checkHistory(granted).open).toMatchObject([
      { object: "c1", text: "its bind has begun and not ended" },
    ]);
  });

  test("events from before facts were kept, which are counted, and those of other things", () => {
    const [one, two, ...rest] = history();
    const { facts: _facts, ...old } = { ...one, id: "old", at: 0, kind: "claim.granted", text: "" };
    const image = { id: "i", at: 0, kind: "image.state", text: "new → active" };
    const verdict = checkHistory([
      old,
      image,
      ...[one, two, ...rest].flatMap((event) => event ?? []),
    ]);
    expect(verdict).toMatchObject({ violations: [], unjudged: 1, beside: 1 });
  });

  test("a change that is missing from the history, which is counted", () => {
    const events = history();
    drop(told("claim.state"))(events);
    const verdict = checkHistory(events);
    expect(verdict.gaps).toBe(1);
  });

  test("claims that were held before a limit was lowered", () => {
    const { events, write } = recorder();
    const high = { ...quota, limit: 2, left: 0 };
    write(0, { quota: [undefined, high] });
    write(minute, { claim: [undefined, claimRow({ id: "c1" })] });
    write(2 * minute, { claim: [undefined, claimRow({ id: "c2" })] });
    write(3 * minute, { quota: [high, { ...high, limit: 1, left: -1 }] });
    expect(checkHistory(events).violations).toEqual([]);
    write(4 * minute, { claim: [undefined, claimRow({ id: "c3" })] });
    expect(checkHistory(events).violations).toMatchObject([{ invariant: "I3" }]);
  });

  test("a claim that was handed to another project counts there only", () => {
    const { events, write } = recorder();
    write(0, { quota: [undefined, quota] });
    const first = claimRow({ id: "c1", state: "Initial" });
    write(minute, { claim: [undefined, first] });
    write(2 * minute, { claim: [first, { ...first, project: "p2" }] });
    write(3 * minute, { claim: [undefined, claimRow({ id: "c2" })] });
    expect(events.map(({ kind }) => kind)).toContain("claim.handed");
    expect(checkHistory(events).violations).toEqual([]);
  });

  test("an accelerator request that was unbound keeps its place in the history it left", () => {
    const { events, write } = recorder();
    const place = { host: "h1", deployable: "d1" };
    const bound = claimRow({ state: "Bound", ...place, handle: "pf", fence: 3 });
    write(0, { claim: [bound, claimRow({ state: "Unbound" })] });
    expect(events).toMatchObject([{ ...place, facts: { wasHandle: "pf", wasFence: 3 } }]);
    expect(claimFacts(events[0]).handle).toBeUndefined();
  });
});
