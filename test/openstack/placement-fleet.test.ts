import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Deployable } from "#domain/deployable";
import { inventoryOf } from "#domain/providers/provider";
import { hardwareTraits } from "#domain/traits";
import { providerId } from "#protocol/uuid";
import { rowOf } from "#store/rows";
import { placementChanged } from "../../functions/openstack/placement-changes.ts";
import { syncHost } from "../../functions/openstack/placement-sync.ts";
import { shared, uuid } from "../domain/builders.ts";
import {
  change,
  children,
  meddle,
  newWorld,
  putHost,
  putRoot,
  takeAsked,
  type World,
} from "../placement/kit.ts";
import { putImage } from "../store/support.ts";
import { type Placement, startPlacement } from "./services/placement.ts";

const pf = "CUSTOM_FPGA_INTEL_PF";
const hosts = 200;
const intel = { vendor: "intel", product: "pac-n3000", interfaceId: "region-a" };
const card: Partial<Deployable> = {
  ...intel,
  traits: hardwareTraits({ kind: "FPGA", ...intel }),
};
let placement: Placement | undefined;
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  placement = await startPlacement();
  stops.push(placement.stop);
});
afterAll(async () => {
  await Promise.all(stops.map(async (stop) => await stop()));
});

function worldOf(shape: "pool" | "tree" | "cyborg"): World {
  if (placement === undefined) throw new Error("Placement did not start");
  return newWorld({ url: placement.url, fetch: globalThis.fetch }, shape);
}

/** Runs over these numbers eight at a time, as the clock does. */
async function each(numbers: readonly number[], act: (number: number) => Promise<unknown>) {
  const left = [...numbers];
  const work = async () => {
    for (let number = left.shift(); number !== undefined; number = left.shift()) await act(number);
  };
  await Promise.all(Array.from({ length: 8 }, work));
}

/** Names of the hosts' providers of which this can be had. */
async function candidates({ admin }: World, query: string): Promise<readonly string[]> {
  const found = (await admin("GET", `/allocation_candidates?${query}`)) as {
    readonly provider_summaries: Record<string, unknown>;
    readonly allocation_requests: readonly { readonly allocations: Record<string, unknown> }[];
  };
  const chosen = new Set(
    found.allocation_requests.flatMap(({ allocations }) => Object.keys(allocations)),
  );
  const names = await Promise.all(
    [...chosen].map(async (one) => {
      const { name } = (await admin("GET", `/resource_providers/${one}`)) as { name: string };
      return name;
    }),
  );
  return names.toSorted();
}

describe("a fleet", () => {
  const world = () => fleet;
  let fleet: World;
  const numbers = Array.from({ length: hosts }, (_, at) => at + 1);

  beforeAll(async () => {
    fleet = worldOf("pool");
    for (const number of numbers) {
      const facts = number <= 3 ? {} : { interfaceId: "region-b" };
      await putHost(
        fleet,
        number,
        Array.from({ length: 4 }, () => ({ ...card, ...facts })),
      );
    }
    await each(numbers, async (number) => await putRoot(fleet, `node-${number}`));
  });

  it("of 200 hosts with 4 cards comes in, and looking again writes nothing", async () => {
    const { parts } = world();
    const began = performance.now();
    const outcomes: string[] = [];
    await each(numbers, async (number) => {
      outcomes.push(await syncHost(parts, uuid(10_000 + number)));
    });
    const first = performance.now() - began;
    expect(new Set(outcomes)).toEqual(new Set(["written"]));
    const made = takeAsked(world());
    world().store.clock.now += 60_000;
    const again = performance.now();
    await each(numbers, async (number) => {
      expect(await syncHost(parts, uuid(10_000 + number))).toBe("same");
    });
    const second = performance.now() - again;
    expect(takeAsked(world())).toEqual({ reads: hosts, writes: 0 });
    const seconds = (ms: number) => (ms / 1000).toFixed(1);
    console.log(
      `${hosts} hosts × 4: first sync ${seconds(first)} s, ${made.reads} reads and ` +
        `${made.writes} writes; drift pass ${seconds(second)} s, ${hosts} reads and 0 writes`,
    );
  });

  it("changes only where an image fits, and is then found by it", async () => {
    const { parts, store } = world();
    const image = await putImage(store);
    const row = rowOf({ pk: "x", sk: "x" }, "image", image);
    takeAsked(world());
    await placementChanged(parts, [{ id: "1", at: 0, before: undefined, after: row }]);
    expect(takeAsked(world()).writes).toBe(3);
    const one = await children(world(), providerId("root of node-1"));
    expect(one).toMatchObject([{ inventories: { [pf]: inventoryOf(4, 0) } }]);
    const { before, after } = await change(world(), 2, 0, { enabled: false });
    const moved = { enabled: false };
    const third = await Promise.all(
      [0, 1, 2].map(async (at) => await change(world(), 3, at, moved)),
    );
    await placementChanged(
      parts,
      [{ before, after }, ...third].map((pair) => ({
        id: "2",
        at: 0,
        before: rowOf({ pk: "x", sk: "x" }, "deployable", pair.before),
        after: rowOf({ pk: "x", sk: "x" }, "deployable", pair.after),
      })),
    );
    const query = "group_policy=none&required1=CUSTOM_HW_INTEL,CUSTOM_HW_CRYPTO";
    const pool = (number: number) => `node-${number}_${pf}_region-a_PAC_N3000`;
    expect(await candidates(world(), `resources1=${pf}:2&${query}`)).toEqual([pool(1), pool(2)]);
    expect(await candidates(world(), `resources1=${pf}:4&${query}`)).toEqual([pool(1)]);
    expect(await candidates(world(), `resources1=${pf}:1&${query}`)).toEqual([1, 2, 3].map(pool));
    expect(await candidates(world(), `resources1=${pf}:5&${query}`)).toEqual([]);
  });

  it("comes right against somebody who writes to the same provider without a rest", async () => {
    const { parts } = world();
    const host = uuid(10_001);
    const pool = providerId(`node-1_${pf}_region-a_PAC_N3000`);
    await change(world(), 1, 0, { enabled: false });
    const state = { isOver: false, bumps: 0 };
    const bump = async () => {
      try {
        await meddle(world(), pool, "inventories", (now) => now);
        state.bumps += 1;
      } catch {
        // Lost to the code under test, as it loses to this.
      }
    };
    const storm = async () => {
      while (!state.isOver) await bump();
    };
    await bump();
    const storming = Promise.all([storm(), storm()]);
    const outcomes: string[] = [];
    for (let look = 0; look < 20 && !outcomes.includes("written"); look += 1) {
      outcomes.push(await syncHost(parts, host));
    }
    state.isOver = true;
    await storming;
    expect(outcomes.at(-1)).toBe("written");
    expect(state.bumps).toBeGreaterThan(0);
    const [one] = await children(world(), providerId("root of node-1"));
    expect(one?.inventories[pf]).toEqual(inventoryOf(4, 1));
    console.log(`storm: ${outcomes.length} looks, ${state.bumps} writes of the other`);
  });
});

describe("each shape", () => {
  const nic = { kind: "NIC", resourceClass: "CUSTOM_NIC", traits: ["CUSTOM_NIC"] } as const;

  it.each([
    ["pool", [`pool_${pf}_region-a_PAC_N3000`, "pool_CUSTOM_NIC_region-a_PAC_N3000"]],
    ["tree", ["tree_0000:10:00.0", "tree_0000:11:00.0", "tree_0000:12:00.0"]],
    [
      "cyborg",
      ["cyborg_0000:10:00.0", "cyborg_0000:11:00.0", "cyborg_0000:5e:00.1", "cyborg_0000:5e:00.2"],
    ],
  ] as const)("%s is what Placement holds", async (shape, names) => {
    const world = worldOf(shape);
    const two = { ...card, ...nic, handles: shared("any").handles, sharing: "any" } as const;
    const { id } = await putHost(world, 1, [card, card, two], shape);
    const root = await putRoot(world, shape);
    expect(await syncHost(world.parts, id)).toBe("written");
    const found = await children(world, root);
    expect(found.map(({ name }) => name)).toEqual([...names].toSorted((a, b) => (a < b ? -1 : 1)));
    const units = found.flatMap(({ inventories }) => Object.values(inventories));
    expect(units.reduce((sum, { total }) => sum + total, 0)).toBe(4);
    for (const { name, uuid: own } of found) expect(own).toBe(providerId(name));
    if (shape === "cyborg") {
      expect(found[0]?.traits).toContain("CUSTOM_FPGA_INTEL");
      expect(Object.keys(found[0]?.inventories ?? {})).toEqual(["FPGA"]);
    }
    world.store.clock.now += 60_000;
    takeAsked(world);
    expect(await syncHost(world.parts, id)).toBe("same");
    expect(takeAsked(world)).toEqual({ reads: 1, writes: 0 });
  });

  it("gives way to another without a unit offered twice", async () => {
    const before = worldOf("pool");
    const { id } = await putHost(before, 1, [card, card], "reshaped");
    const root = await putRoot(before, "reshaped");
    await syncHost(before.parts, id);
    const parts = { ...before.parts, shape: "tree" as const };
    expect(await syncHost(parts, id)).toBe("written");
    expect(await children(before, root)).toMatchObject([
      { name: "reshaped_0000:10:00.0", inventories: { [pf]: { total: 1 } } },
      { name: "reshaped_0000:11:00.0", inventories: { [pf]: { total: 1 } } },
    ]);
  });
});
