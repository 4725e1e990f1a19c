import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Inventories, Ours } from "#domain/placement";
import { inventoryOf, type Provider } from "#domain/providers/provider";
import {
  type HeldProvider,
  type Planning,
  planTree,
  type TreeWrite,
} from "#openstack/placement/plan";
import { providerId } from "#protocol/uuid";
import { afterwards, beforehand } from "../../functions/openstack/placement-memory.ts";

const root = "root";
const names = ["n_a", "n_b", "n_c"] as const;
const ownTraits = ["CUSTOM_1", "CUSTOM_2", "CUSTOM_3"];
const classes = ["CUSTOM_X", "CUSTOM_Y"];
const foreign = { FOREIGN: inventoryOf(5, 1) };

const some = <Value>(values: readonly Value[]) => fc.subarray([...values]);
const stock = fc.record({
  total: fc.integer({ min: 1, max: 4 }),
  reserved: fc.nat(4),
  held: fc.nat(4),
});

const wanted: fc.Arbitrary<readonly Provider[]> = some(names).chain((chosen) =>
  fc.tuple(
    ...chosen.map((name) =>
      fc
        .tuple(stock, some(ownTraits), fc.constantFrom(...classes))
        .map(([{ total, reserved, held }, traits, resourceClass]) => ({
          name,
          resourceClass,
          inventory: inventoryOf(total, Math.min(total, reserved)),
          traits,
          members: [],
          held: Math.min(held, total - Math.min(total, reserved)),
        })),
    ),
  ),
);

/** What Placement holds of one provider, and which of it we remember to be ours. */
const heldProvider = fc.record({
  isThere: fc.boolean(),
  isForeign: fc.boolean(),
  traits: some([...ownTraits, "FOREIGN_TRAIT"]),
  classes: some(classes),
  remembered: fc.option(fc.record({ classes: some(classes), traits: some(ownTraits) }), {
    nil: undefined,
  }),
  used: fc.nat(3),
  generation: fc.nat(9),
  isElsewhere: fc.boolean(),
});

const worlds = fc.record({
  wanted,
  providers: fc.tuple(heldProvider, heldProvider, heldProvider),
});
type WorldOf = typeof worlds extends fc.Arbitrary<infer Drawn> ? Drawn : never;

function planningOf({ wanted: asked, providers }: WorldOf): Planning {
  const held = new Map<string, HeldProvider>();
  const ours: Record<string, Ours> = {};
  for (const [at, name] of names.entries()) {
    const drawn = providers[at];
    if (drawn === undefined) continue;
    const uuid = providerId(name);
    if (drawn.remembered !== undefined) ours[uuid] = drawn.remembered;
    const isOurs = drawn.remembered !== undefined || asked.some((one) => one.name === name);
    if (!drawn.isThere || !isOurs) continue;
    const own = Object.fromEntries(drawn.classes.map((one) => [one, inventoryOf(4, 0)]));
    const used = Object.fromEntries(drawn.classes.map((one) => [one, drawn.used]));
    held.set(uuid, {
      name,
      parent: drawn.isElsewhere ? "other" : root,
      generation: drawn.generation,
      inventories: drawn.isForeign ? { ...own, ...foreign } : own,
      traits: drawn.traits,
      hasChildren: false,
      used,
    });
  }
  return { root, held, wanted: asked, ours };
}

/** Placement after these writes; a write that the real one would refuse throws. */
function after(held: Planning["held"], writes: readonly TreeWrite[]): Map<string, HeldProvider> {
  const now = new Map(held);
  const need = (uuid: string) => {
    const found = now.get(uuid);
    if (found === undefined) throw new Error(`${uuid} is not there`);
    return found;
  };
  for (const write of writes) {
    const { uuid } = write;
    switch (write.kind) {
      case "create": {
        if (now.has(uuid)) throw new Error(`${uuid} is there`);
        const empty = { inventories: {}, traits: [], generation: 0, hasChildren: false };
        now.set(uuid, { ...empty, name: write.name, parent: root });
        break;
      }
      case "move":
        now.set(uuid, { ...need(uuid), name: write.name, parent: root });
        break;
      case "traits":
        now.set(uuid, { ...need(uuid), traits: write.traits });
        break;
      case "inventories":
        checkStock(need(uuid), write.inventories);
        now.set(uuid, { ...need(uuid), inventories: write.inventories });
        break;
      case "delete":
        checkStock(need(uuid), {});
        now.delete(uuid);
        break;
      default:
        write satisfies never;
    }
  }
  return now;
}

function checkStock({ used = {} }: HeldProvider, inventories: Inventories): void {
  for (const [name, count] of Object.entries(used)) {
    if (count > 0 && inventories[name] === undefined) throw new Error(`${name} is in use`);
  }
  for (const { total, reserved } of Object.values(inventories)) {
    if (total < 1 || reserved < 0 || reserved > total) throw new Error("not a stock");
  }
}

const isOwned = (uuid: string, planning: Planning, resourceClass: string) =>
  planning.ours[uuid]?.classes.includes(resourceClass) === true;

describe("a plan, from any state to any other,", () => {
  it("leads to what is wanted, and then there is nothing left to do", () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const planning = planningOf(world);
        const own = planning.wanted.filter(({ name, resourceClass }) => {
          const uuid = providerId(name);
          const used = planning.held.get(uuid)?.used ?? {};
          // A class that others stocked and use cannot be told from ours here.
          return Object.keys(used).every(
            (one) => one === resourceClass || isOwned(uuid, planning, one),
          );
        });
        const now = after(planning.held, planTree(planning));
        for (const { name, resourceClass, inventory, traits } of own) {
          const found = now.get(providerId(name));
          expect(found).toMatchObject({ name, parent: root });
          expect(found?.inventories[resourceClass]?.total).toBe(inventory.total);
          expect(found?.inventories[resourceClass]?.reserved).toBeGreaterThanOrEqual(
            inventory.reserved,
          );
          for (const trait of traits) expect(found?.traits).toContain(trait);
        }
        const tree = Object.fromEntries(
          Object.entries(planning.ours).map(([uuid, ours]) => [uuid, { name: uuid, ours }]),
        );
        const remembered = afterwards(beforehand(tree, planning.wanted), planning.wanted, now);
        const ours = Object.fromEntries(
          Object.entries(remembered).map(([uuid, one]) => [uuid, one.ours]),
        );
        expect(planTree({ ...planning, held: now, ours })).toEqual([]);
      }),
    );
  });

  it("touches nothing that we never put there", () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const planning = planningOf(world);
        const now = after(planning.held, planTree(planning));
        for (const [uuid, before] of planning.held) {
          const hadForeign = before.inventories["FOREIGN"] !== undefined;
          if (hadForeign) expect(now.get(uuid)?.inventories["FOREIGN"]).toEqual(foreign.FOREIGN);
          const isKept = now.has(uuid) && before.traits.includes("FOREIGN_TRAIT");
          if (isKept) expect(now.get(uuid)?.traits).toContain("FOREIGN_TRAIT");
        }
        for (const { uuid } of planTree(planning)) expect(uuid).not.toBe(root);
      }),
    );
  });
});

describe("the order of a plan", () => {
  const provider = (name: string, total: number): Provider => ({
    name,
    resourceClass: "CUSTOM_X",
    inventory: inventoryOf(total, 0),
    traits: [],
    members: [],
    held: 0,
  });
  const there = (name: string, total: number): [string, HeldProvider] => [
    providerId(name),
    {
      name,
      parent: root,
      generation: 1,
      traits: [],
      hasChildren: false,
      inventories: { CUSTOM_X: inventoryOf(total, 0) },
    },
  ];

  it("is: what goes, what gives less, what gives more, what is new", () => {
    const own = { classes: ["CUSTOM_X"], traits: [] };
    const ours = Object.fromEntries(
      ["gone", "less", "more"].map((name) => [providerId(name), own]),
    );
    const held = new Map([there("gone", 1), there("less", 3), there("more", 1)]);
    const asked = [provider("more", 2), provider("new", 4), provider("less", 1)];
    const writes = planTree({ root, held, wanted: asked, ours });
    const order = ["gone", "less", "more", "new"].map(providerId);
    expect(writes.map(({ kind }) => kind)).toEqual([
      "delete",
      "inventories",
      "inventories",
      "create",
      "inventories",
    ]);
    expect([...new Set(writes.map(({ uuid }) => uuid))]).toEqual(order);
  });

  it("leaves a provider that others hang something under, but for what is ours on it", () => {
    const [uuid, one] = there("parent", 1);
    const own = { classes: ["CUSTOM_X"], traits: ["CUSTOM_1"] };
    const held = new Map([[uuid, { ...one, traits: ["CUSTOM_1", "T"], hasChildren: true }]]);
    expect(planTree({ root, held, wanted: [], ours: { [uuid]: own } })).toEqual([
      { kind: "inventories", uuid, inventories: {} },
      { kind: "traits", uuid, traits: ["T"] },
    ]);
  });
});
