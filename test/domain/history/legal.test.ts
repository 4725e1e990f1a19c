import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Claim } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import { checkHistory } from "#domain/history/check";
import { newAgent } from "../agent-model.ts";
import { deployable, handle, shared } from "../builders.ts";
import { acts, hello, type World } from "../model-world.ts";
import { claimRow, recorder } from "./recorded.ts";

const fresh: Partial<Deployable> = {
  clean: false,
  imageGeneration: 1,
  revision: 1,
  outcome: { generation: 0, result: "ready" },
  reported: { epoch: 0, seq: 0 },
};
const two = { vf0: handle({ state: "releasing" }), vf1: handle({ state: "releasing" }) };
const cards = fc.constantFrom(
  deployable({ ...fresh, handles: { pf: handle({ state: "releasing" }) } }),
  shared("none", { ...fresh, handles: two }),
  shared("any", { ...fresh, handles: two }),
  shared("any", { ...fresh, handles: two, scrubMethod: "reset", imageGeneration: 0, wish: {} }),
);
const often = ["grant", "grant", "release a claim", "live a little", "live a little", "tell"];
const lively = [...Object.keys(acts), ...often, ...often, ...often];
const script = fc.array(fc.tuple(fc.constantFrom(...lively), fc.nat(11)), { maxLength: 60 });

/** The rows of all claims of a world, as its cloud would keep them. */
function claimsOf(world: World, now: number): ReadonlyMap<string, Claim> {
  return new Map(
    [...world.claims].map(([id, { handle: name, fence, state }]) => {
      const held = state === "BindFailed" ? {} : { handle: name, fence };
      const { host, id: where } = world.cloud;
      return [id, claimRow({ id, state, host, deployable: where, updatedAt: now, ...held })];
    }),
  );
}

/** Plays a script on the real lifecycle and keeps what the audit would say of it. */
function play(card: Deployable, steps: readonly (readonly [string, number])[], tick: number) {
  const agent = newAgent(card, "boot-0");
  const world: World = {
    cloud: card,
    agent,
    sent: [],
    claims: new Map(),
    heard: undefined,
    boots: 0,
    made: 0,
  };
  const record = recorder();
  record.write(0, { deployable: [undefined, card] });
  hello(world);
  let claims = claimsOf(world, 0);
  let cloud = card;
  const opening = Array.from({ length: 5 }, (): [string, number] => ["live a little", 0]);
  for (const [index, [name, pick]] of [...opening, ...steps].entries()) {
    const at = Math.floor(index / 3) * tick;
    acts[name]?.(world, pick);
    // One write that did nothing but raise the revision is told by nobody.
    if (world.cloud !== cloud) record.write(at, { deployable: [cloud, world.cloud] });
    const after = claimsOf(world, index);
    for (const id of new Set([...claims.keys(), ...after.keys()])) {
      const [was, is] = [claims.get(id), after.get(id)];
      if (was?.state !== is?.state) record.write(at, { claim: [was, is] });
    }
    [claims, cloud] = [after, world.cloud];
  }
  return { ...record, world };
}

test("whatever happens to a card, the checker finds its history right and whole", () => {
  let judged = 0;
  fc.assert(
    fc.property(cards, script, fc.constantFrom(0, 1, 1000, 60_000), (card, steps, tick) => {
      const { events, world } = play(card, steps, tick);
      const verdict = checkHistory(events.toReversed());
      expect(verdict.violations).toEqual([]);
      expect(verdict).toMatchObject({ gaps: 0, unjudged: 0, judged: events.length });
      const binding = [...world.claims.values()].filter(({ state }) => state === "BindStarted");
      const dirty = Object.values(world.cloud.handles).filter(({ state }) => state === "releasing");
      const open = verdict.open.map(({ text }) => text);
      expect(open.filter((text) => text.includes("bind"))).toHaveLength(binding.length);
      expect(open.filter((text) => text.includes("released"))).toHaveLength(dirty.length);
      judged += verdict.judged;
    }),
    { numRuns: 400 },
  );
  expect(judged).toBeGreaterThan(1000);
});

test("a history that is read twice, or only from some time on, shows no more", () => {
  fc.assert(
    fc.property(cards, script, fc.nat(40), (card, steps, from) => {
      const { events } = play(card, steps, 1000);
      const part = events.slice(from);
      expect(checkHistory([...part, ...part]).violations).toEqual([]);
      expect(checkHistory([...part, ...part])).toMatchObject({ judged: part.length });
    }),
    { numRuns: 200 },
  );
});
