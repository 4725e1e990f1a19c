import { describe, expect, test } from "vitest";
import type { Deployable } from "#domain/deployable";
import { checkHistory } from "#domain/history/check";
import type { Invariant } from "#domain/history/verdict";
import { grant } from "#domain/transitions";
import { deployable } from "../builders.ts";
import {
  drop,
  type Edit,
  editFacts,
  editHandle,
  findIndex,
  freeRow,
  grantRow,
  history,
  minute,
  move,
  releaseRow,
  told,
} from "./lent-card.ts";
import { recorder } from "./recorded.ts";

test("an ordinary history is kept, with nothing open and nothing missing", () => {
  const verdict = checkHistory(history());
  expect(verdict).toMatchObject({ violations: [], open: [], gaps: 0, unjudged: 0, beside: 0 });
  expect(verdict).toMatchObject({ claims: 2, deployables: 1, judged: history().length });
});

const planted: readonly (readonly [string, Invariant, RegExp, Edit])[] = [
  [
    "a handle goes from claim to claim",
    "I1",
    /took it from/,
    editHandle(grantRow(1), {}, { state: "claimed", claim: "c1", fence: 4 }),
  ],
  [
    "two claims are granted one fence",
    "I1",
    /same fence/,
    editFacts(told("claim.granted", 1), { fence: 1 }),
  ],
  [
    "a claim's row and the deployable's name different claims",
    "I1",
    /same fence/,
    editHandle(grantRow(1), { claim: "c9" }),
  ],
  [
    "a claim ends after the next was granted its handle",
    "I1",
    /while claim c1 held it/,
    move(told("claim.released"), 3 * minute),
  ],
  [
    "a claim never ends and the next is granted its handle",
    "I1",
    /while claim c1 held it/,
    drop(told("claim.released")),
  ],
  [
    "a handle is claimed by nobody",
    "I1",
    /no claim/,
    editHandle(grantRow(0), { claim: undefined }),
  ],
  [
    "a free handle has a claim",
    "I1",
    /held by c1/,
    editHandle(freeRow, { claim: "c1" }, { claim: "c1" }),
  ],
  [
    "a claim is Bound to no handle",
    "I1",
    /names no handle/,
    editFacts(told("claim.state"), { handle: undefined, fence: undefined }),
  ],
  [
    "a claim is Bound under another fence than its bind began with",
    "I1",
    /its bind began/,
    editFacts(told("claim.state"), { fence: 7 }),
  ],
  ["a fence falls within one change", "I2", /fell from/, editHandle(releaseRow, { fence: 0 })],
  [
    "a fence falls between two changes",
    "I2",
    /fell from/,
    editHandle(grantRow(1), { fence: 1 }, { fence: 0 }),
  ],
  ["a grant keeps the fence", "I2", /same fence/, editHandle(grantRow(0), { fence: 0 })],
  ["a release keeps the fence", "I2", /same fence/, editHandle(releaseRow, { fence: 1 })],
  [
    "a later grant has a lower fence",
    "I2",
    /before fence/,
    editFacts(told("claim.granted", 1), { fence: 0 }),
  ],
  [
    "an image generation falls within one change",
    "I2",
    /generation fell/,
    editFacts(releaseRow, { imageGeneration: 2 }),
  ],
  [
    "an image generation falls between two changes",
    "I2",
    /generation fell/,
    editFacts(grantRow(1), { imageGeneration: 4, wasImageGeneration: 4 }),
  ],
  [
    "a project holds more than its quota",
    "I3",
    /2 claims were held, and 1/,
    (events) => {
      drop(told("claim.released"))(events);
      const index = findIndex(events, "claim.granted", 1);
      const [event] = events.slice(index);
      if (event !== undefined) events[index] = { ...event, project: "p1" };
    },
  ],
  [
    "a handle is granted on a faulty deployable",
    "I4",
    /was faulty/,
    editFacts(grantRow(0), { wasState: "faulty" }),
  ],
  [
    "a handle is granted on a silent host",
    "I4",
    /was offline/,
    editFacts(grantRow(1), { wasState: "offline" }),
  ],
  [
    "a handle is taken from a claim that is not told",
    "I5",
    /does not say so/,
    drop(told("claim.released", 1)),
  ],
  [
    "a Bound claim changes its handle",
    "I5",
    /changed from pf/,
    editFacts(told("claim.state"), { was: "Bound", handle: "vf1" }),
  ],
  [
    "a claim is Bound without a bind",
    "lifecycle",
    /from Initial to Bound/,
    editFacts(told("claim.state"), { was: "Initial" }),
  ],
  [
    "a failed bind comes back",
    "lifecycle",
    /from BindFailed to Bound/,
    editFacts(told("claim.state"), { was: "BindFailed" }),
  ],
  [
    "a claim is born Bound",
    "lifecycle",
    /came to be as Bound/,
    editFacts(told("claim.granted"), { is: "Bound" }),
  ],
  [
    "a handle is plugged that nobody claimed",
    "lifecycle",
    /free to plugged/,
    editHandle(grantRow(0), { state: "plugged" }),
  ],
  [
    "a handle is freed without a report",
    "scrub",
    /without a report/,
    editFacts(freeRow, { reported: false }),
  ],
  [
    "a handle is freed on a dirty card",
    "scrub",
    /freed while/,
    editFacts(freeRow, { clean: false }),
  ],
  [
    "a handle is freed while the scrub is owed",
    "scrub",
    /freed while/,
    editFacts(freeRow, { settled: false }),
  ],
  [
    "a handle is granted on a dirty card",
    "scrub",
    /granted while/,
    editFacts(grantRow(1), { wasClean: false }),
  ],
  [
    "a handle is granted while it is dirty",
    "scrub",
    /releasing to claimed/,
    editHandle(grantRow(1), {}, { state: "releasing" }),
  ],
  [
    "a claimed handle is free at once",
    "scrub",
    /claimed to free/,
    editHandle(releaseRow, { state: "free" }),
  ],
  [
    "a handle is granted to the next project, and nobody has told that it is clean",
    "scrub",
    /no proof/,
    drop(freeRow),
  ],
];

describe("the checker finds", () => {
  test.each(planted)("that %s", (_what, invariant, text, edit) => {
    const events = history();
    edit(events);
    const { violations } = checkHistory(events);
    const found = violations.filter((one) => one.invariant === invariant && text.test(one.text));
    expect(found.length, JSON.stringify(violations.map((one) => one.text))).toBeGreaterThan(0);
    for (const { object, events: shown } of found) {
      expect(object).not.toBe("");
      expect(shown.length).toBeGreaterThan(0);
      for (const one of shown) expect(events).toContain(one);
    }
  });

  test("that one claim held two handles, and one card two layouts, at once", () => {
    const other = deployable({ id: "d2", layout: "vfs" });
    const { events, write } = recorder();
    const card = deployable();
    const take = (one: Deployable, claim: string) =>
      [one, grant(one, [{ claim, project: "p1", handle: "pf" }], undefined, 0)] as const;
    write(0, { deployable: take(card, "c1") });
    write(minute, { deployable: take(other, "c1") });
    const said = checkHistory(events).violations.map(
      ({ invariant, text }) => `${invariant} ${text}`,
    );
    expect(said).toHaveLength(2);
    expect(said[0]).toMatch(/^I1 it held .*\/pf and d2\/pf at once/);
    expect(said[1]).toMatch(/^I1 claims c1 and c1 held it in layouts pf and vfs at once/);
  });
});
