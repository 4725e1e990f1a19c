import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Deployable,
  freeHandles,
  type Handle,
  heldHandles,
  isOfferable,
  isPending,
} from "#domain/deployable";
import { release } from "#domain/transitions";
import { hear, newAgent, work } from "./agent-model.ts";
import { deployable, handle, shared } from "./builders.ts";
import {
  acts,
  deliver,
  giveCardBack,
  hello,
  type Script,
  send,
  type World,
} from "./model-world.ts";

function check(before: Deployable, world: World): void {
  const { cloud, claims } = world;
  expect(cloud.imageGeneration, "I2").toBeGreaterThanOrEqual(before.imageGeneration);
  for (const [name, one] of Object.entries(cloud.handles)) checkHandle(before.handles[name], one);
  const holding = [...claims].filter(([, one]) => one.state !== "BindFailed");
  const holders = heldHandles(cloud).map(([name, { holder }]) => `${holder?.claim} ${name}`);
  const expected = holding.map(([id, one]) => `${id} ${one.handle}`);
  expect(holders.toSorted(), "I1, I5").toEqual(expected.toSorted());
  if (holders.length > 0) expect(cloud.wish.scrub, "I6").toBeUndefined();
  checkTruth(world);
  if (isOfferable(cloud)) checkOffer(world);
}

function checkHandle(before: Handle | undefined, after: Handle): void {
  expect(after.fence, "I2").toBeGreaterThanOrEqual(before?.fence ?? 0);
  const isSame = after.holder?.claim === before?.holder?.claim;
  if (!isSame) expect(after.fence, "a fence per holder").toBeGreaterThan(before?.fence ?? 0);
  expect(after.holder !== undefined, "I1").toBe(["claimed", "plugged"].includes(after.state));
}

/** The row says what the newest report said, in whatever order they came. */
function checkTruth({ cloud, heard }: World): void {
  if (heard === undefined) return;
  expect(cloud.reported).toEqual({ epoch: heard.epoch, seq: heard.seq });
  expect(cloud.loaded.functionId).toBe(heard.loaded.functionId);
  expect(cloud.health).toEqual(heard.health);
}

/** I4: what is offered holds nothing of a tenant, in truth, and nothing foreign once that is told. */
function checkOffer({ cloud, agent, sent, heard }: World): void {
  expect([cloud.hostOnline, cloud.present, isPending(cloud)], "I4").toEqual([true, true, false]);
  for (const name of freeHandles(cloud)) expect([...agent.dirtyHandles], "I4").not.toContain(name);
  if (heldHandles(cloud).length > 0 || cloud.scrubMethod === "reset") return;
  expect(agent.dirty, "I4").toBe(false);
  const isTold = heard === sent.at(-1) && heard?.loaded.functionId === agent.loaded.functionId;
  if (isTold) expect(agent.foreign, "I4, once told").not.toBe("hand");
  if (cloud.bootId === agent.bootId) expect(agent.foreign, "I4 under this boot").not.toBe("boot");
}

/** The agent works and is heard until nothing changes any more. */
function settle(world: World): void {
  const { agent } = world;
  agent.away = false;
  giveCardBack(world);
  if (!world.cloud.hostOnline) hello(world);
  for (let turn = 0; turn < 60; turn += 1) {
    hear(agent, world.cloud);
    const isBusy = work(agent, false);
    send(world);
    deliver(world, world.sent.at(-1));
    if (!isBusy && agent.wish?.revision === world.cloud.revision) return;
    check(world.cloud, world);
  }
  expect.fail("the agent works for ever");
}

/** What happens often, so that claims come to be bound between mishaps. */
const often = { grant: 4, "release a claim": 3, "live a little": 6, "work unheard": 2, tell: 3 };
const names = [
  ...Object.keys(acts),
  ...Object.entries(often).flatMap(([name, times]) => Array.from({ length: times }, () => name)),
];
const steps = fc.array(fc.tuple(fc.constantFrom(...names), fc.nat(11)), { maxLength: 60 });
const two = { vf0: handle({ state: "releasing" }), vf1: handle({ state: "releasing" }) };
const fresh: Partial<Deployable> = {
  clean: false,
  imageGeneration: 1,
  outcome: { generation: 0, result: "ready" },
  reported: { epoch: 0, seq: 0 },
  bootId: undefined,
};
const onePf = deployable({ ...fresh, handles: { pf: handle({ state: "releasing" }) } });
const reset = { scrubMethod: "reset", imageGeneration: 0, wish: {} } as const;
const twoVfs = shared("any", { ...fresh, handles: two, ...reset });
const cards = fc.constantFrom(
  onePf,
  shared("none", { ...fresh, handles: two }),
  shared("any", { ...fresh, handles: two }),
  twoVfs,
);

/** A scrub and reload that the agent finished unheard, and then the card changed. */
const finished: Script = [
  ["grant", 4],
  ...Array.from({ length: 6 }, (): Script[0] => ["live a little", 0]),
  ["release a claim", 0],
  ["work unheard", 9],
];
/** An operation that leaves behind what nobody knows, ended before its agent has cleaned anything. */
const operated: Script = [
  ["take the card", 0],
  ["operate on the card", 0],
  ["give the card back", 0],
];
const mishaps: [Deployable, Script][] = [
  [onePf, operated],
  [twoVfs, [...operated, ["tell", 0]]],
  [onePf, [...finished, ["change behind our back", 0]]],
  [onePf, [...finished, ["reboot", 1], ["tell", 0]]],
  [onePf, [...finished, ["reboot", 2], ["tell", 0]]],
  [
    onePf,
    [
      ["go silent", 0],
      ["grant", 0],
      ["reboot", 0],
      ["vanish or come back", 0],
    ],
  ],
];

function play(card: Deployable, script: Script): World {
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
  hello(world);
  settle(world);
  for (const [name, pick] of script) {
    const before = world.cloud;
    acts[name]?.(world, pick);
    check(before, world);
  }
  return world;
}

describe("one deployable under any sequence of events", () => {
  it("keeps its invariants, decides every claim, and ends idle and clean", {
    timeout: 60_000,
  }, () => {
    fc.assert(
      fc.property(cards, steps, (card, script) => {
        const world = play(card, script);
        settle(world);
        const states = [...world.claims.values()].map(({ state }) => state);
        expect(states, "I7").not.toContain("BindStarted");
        for (const [id, claim] of world.claims) {
          if (claim.state === "Bound") world.cloud = release(world.cloud, claim.handle, 0);
          world.claims.delete(id);
        }
        settle(world);
        const failed = world.cloud.outcome.result === "failed";
        expect(isOfferable(world.cloud) || failed, "liveness").toBe(true);
        if (!failed) expect(freeHandles(world.cloud)).toEqual(Object.keys(world.cloud.handles));
      }),
      { numRuns: 2000, examples: mishaps },
    );
  });
});
