import { describe, expect, it } from "vitest";
import {
  allocationOf,
  dropAllocation,
  hasAllocation,
  takeAllocation,
  takeAllocations,
} from "#openstack/placement/allocations";
import { providerId } from "#protocol/uuid";
import { readPlacement } from "#store/placement";
import { syncHost } from "../../functions/openstack/placement-sync.ts";
import { handle, held, uuid } from "../domain/builders.ts";
import { change, children, newWorld, putHost, putRoot, type Reached, type World } from "./kit.ts";

const pf = "CUSTOM_FPGA_INTEL_PF";

/** A host with four like cards, in Placement, and a way to order of them. */
async function fourCards(world: World, name: string) {
  const { id } = await putHost(world, 1, [{}, {}, {}, {}], name);
  const root = await putRoot(world, name);
  await syncHost(world.parts, id);
  const pool = providerId(`${name}_${pf}_region-a_N3000`);
  const order = (consumer: string, count = 1) => ({
    consumer,
    project: "p1",
    user: "u1",
    providers: { [pool]: { [pf]: count } },
  });
  return { id, root, pool, order };
}

/** Allocations of claims, whichever Placement keeps them. */
export function allocationScenarios(reach: () => Promise<Reached>): void {
  describe("an allocation", () => {
    it("is taken once, however often it is asked for, and dropped once", async () => {
      const world = newWorld(await reach());
      const { wire } = world.parts.client;
      const { order, pool } = await fourCards(world, "alloc-once");
      const claim = uuid(2001);
      expect(await hasAllocation(wire, claim)).toBe(false);
      expect(await takeAllocation(wire, order(claim))).toBe("taken");
      expect(await takeAllocation(wire, order(claim))).toBe("taken");
      expect(await hasAllocation(wire, claim)).toBe(true);
      expect(await allocationOf(wire, claim)).toEqual({
        providers: { [pool]: { [pf]: 1 } },
        generation: expect.any(Number),
      });
      expect(await world.parts.client.usages(pool)).toEqual({ [pf]: 1 });
      await dropAllocation(wire, claim);
      await dropAllocation(wire, claim);
      expect(await allocationOf(wire, claim)).toEqual({ providers: {}, generation: null });
    });

    it("of something else is a conflict, and more than there is cannot be had", async () => {
      const world = newWorld(await reach());
      const { wire } = world.parts.client;
      const { order } = await fourCards(world, "alloc-full");
      expect(await takeAllocation(wire, order(uuid(2011), 2))).toBe("taken");
      expect(await takeAllocation(wire, order(uuid(2011), 1))).toBe("conflict");
      expect(await takeAllocation(wire, order(uuid(2012), 3))).toBe("full");
      const nowhere = { ...order(uuid(2013)), providers: { [uuid(4)]: { [pf]: 1 } } };
      expect(await takeAllocation(wire, nowhere)).toBe("full");
      for (const id of [2011, 2012, 2013]) await dropAllocation(wire, uuid(id));
    });

    it("of several claims is all or nothing, and goes on where it stopped", async () => {
      const world = newWorld(await reach());
      const { wire, usages } = {
        wire: world.parts.client.wire,
        usages: async (id: string) => (await world.parts.client.usages(id))[pf],
      };
      const { order, pool } = await fourCards(world, "alloc-many");
      const orders = [2021, 2022, 2023].map((id) => order(uuid(id)));
      expect(await takeAllocations(wire, [...orders, order(uuid(2024), 2)])).toBe("full");
      expect(await usages(pool)).toBe(0);
      expect(await takeAllocation(wire, order(uuid(2021)))).toBe("taken");
      expect(await takeAllocations(wire, orders)).toBe("taken");
      expect(await usages(pool)).toBe(3);
      expect(await takeAllocations(wire, [])).toBe("taken");
      for (const id of [2021, 2022, 2023]) await dropAllocation(wire, uuid(id));
    });

    it("is counted once: a card that a claim holds is used, and then free again", async () => {
      const world = newWorld(await reach());
      const { wire } = world.parts.client;
      const { id, root, order } = await fourCards(world, "alloc-cycle");
      const free = async () => {
        const { total = 0, reserved = 0 } = (await children(world, root))[0]?.inventories[pf] ?? {};
        const used = (
          await world.parts.client.usages((await children(world, root))[0]?.uuid ?? "")
        )[pf];
        return total - reserved - (used ?? 0);
      };
      await takeAllocation(wire, order(uuid(2031)));
      await change(world, 1, 0, { handles: { pf: held(uuid(2031)) }, clean: false });
      await syncHost(world.parts, id);
      expect(await free()).toBe(3);
      await change(world, 1, 0, { handles: { pf: handle({ state: "releasing", fence: 2 }) } });
      expect(await syncHost(world.parts, id)).toBe("same");
      expect(await free()).toBe(3);
      await dropAllocation(wire, uuid(2031));
      expect(await free()).toBe(4);
      await change(world, 1, 0, { handles: { pf: handle({ fence: 2 }) }, clean: true });
      expect(await syncHost(world.parts, id)).toBe("same");
      expect(await free()).toBe(4);
      expect(await readPlacement(world.store, id)).toMatchObject({ state: "synced" });
    });
  });
}
