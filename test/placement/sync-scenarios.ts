import { describe, expect, it } from "vitest";
import { inventoryOf } from "#domain/providers/provider";
import { dropAllocation, takeAllocation } from "#openstack/placement/allocations";
import { providerId } from "#protocol/uuid";
import { changeHost } from "#store/hosts";
import { readPlacement } from "#store/placement";
import { syncDue } from "../../functions/openstack/placement-changes.ts";
import { syncHost } from "../../functions/openstack/placement-sync.ts";
import { handle, held, uuid } from "../domain/builders.ts";
import {
  change,
  children,
  meddle,
  newWorld,
  putHost,
  putRoot,
  type Reached,
  takeAsked,
  type World,
} from "./kit.ts";

const pf = "CUSTOM_FPGA_INTEL_PF";
const two = [{}, { product: "d5005" }];
const poolOf = (host: string, product = "N3000") => `${host}_${pf}_region-a_${product}`;
const dueSoon = (world: World) => {
  world.store.clock.now += 60_000;
};

/** What keeping Placement up to date does, whichever Placement it is. */
export function syncScenarios(reach: () => Promise<Reached>): void {
  describe("a host's providers", () => {
    it("are made under its own, and nothing is written when nothing changed", async () => {
      const world = newWorld(await reach());
      const { id } = await putHost(world, 1, [{}, {}, { enabled: false }, ...two], "made");
      const root = await putRoot(world, "made");
      expect(await syncHost(world.parts, id)).toBe("written");
      const made = await children(world, root);
      expect(made.map(({ name, inventories }) => [name, inventories[pf]])).toEqual([
        [poolOf("made", "D5005"), inventoryOf(1, 0)],
        [poolOf("made"), inventoryOf(4, 1)],
      ]);
      expect(made[0]?.traits.toSorted()).toEqual(["CUSTOM_FPGA", "CUSTOM_HW_INTEL"]);
      takeAsked(world);
      expect(await syncHost(world.parts, id)).toBe("same");
      expect(takeAsked(world)).toEqual({ reads: 1, writes: 0 });
    });

    it("cost one read when it is time to look for drift, and are due again within a minute", async () => {
      const world = newWorld(await reach());
      const { id } = await putHost(world, 1, two, "drift");
      await putRoot(world, "drift");
      await syncHost(world.parts, id);
      takeAsked(world);
      dueSoon(world);
      const before = await readPlacement(world.store, id);
      expect(await syncHost(world.parts, id)).toBe("same");
      expect(takeAsked(world)).toEqual({ reads: 1, writes: 0 });
      const after = await readPlacement(world.store, id);
      const wait = (after?.dueAt ?? 0) - world.store.now();
      expect(wait).toBeGreaterThan(0);
      expect(wait).toBeLessThanOrEqual(60_000);
      expect(after).toEqual({ ...before, dueAt: after?.dueAt });
    });

    it("wait for the host's own provider, say so once, and come when it comes", async () => {
      const world = newWorld(await reach());
      const { id } = await putHost(world, 1, two, "late");
      for (const seconds of [5, 10, 20]) {
        expect(await syncHost(world.parts, id)).toBe("waiting");
        const record = await readPlacement(world.store, id);
        const wait = ((record?.dueAt ?? 0) - world.store.now()) / 1000;
        expect(wait).toBeGreaterThanOrEqual(seconds * 0.75 - 0.001);
        expect(wait).toBeLessThanOrEqual(seconds);
      }
      expect(world.logged).toHaveLength(1);
      expect(world.logged[0]).toContain("late");
      const root = await putRoot(world, "late");
      expect(await syncHost(world.parts, id)).toBe("written");
      expect(await children(world, root)).toHaveLength(2);
      expect(await readPlacement(world.store, id)).toMatchObject({ state: "synced", tries: 0 });
    });

    it("follow what becomes of the cards, one write per change", async () => {
      const world = newWorld(await reach());
      const { id } = await putHost(world, 1, [{}, {}], "follow");
      const root = await putRoot(world, "follow");
      await syncHost(world.parts, id);
      const stock = async () => (await children(world, root))[0]?.inventories[pf];
      const inUse = { code: "IN_USE", message: "a guest has it" };
      for (const [facts, reserved] of [
        [{ handles: { pf: held("c1") }, clean: false }, 0],
        [{ handles: { pf: handle({ state: "releasing", fence: 2 }) } }, 0],
        [{ handles: { pf: handle({ state: "releasing", fence: 2, error: inUse }) } }, 1],
        [{ handles: { pf: handle() }, clean: true }, 0],
        [{ hostOnline: false }, 1],
      ] as const) {
        await change(world, 1, 0, facts);
        takeAsked(world);
        const hasMoved = (await stock())?.reserved !== reserved;
        expect(await syncHost(world.parts, id)).toBe(hasMoved ? "written" : "same");
        expect(takeAsked(world)).toEqual({ reads: 1, writes: hasMoved ? 1 : 0 });
        expect(await stock()).toMatchObject({ total: 2, reserved });
      }
    });

    it("are back at the next look when somebody deleted or changed them", async () => {
      const world = newWorld(await reach());
      const { id } = await putHost(world, 1, two, "hands");
      const root = await putRoot(world, "hands");
      await syncHost(world.parts, id);
      const before = await children(world, root);
      const [first = "", second = ""] = before.map((one) => one.uuid);
      await world.admin("DELETE", `/resource_providers/${first}`);
      await meddle(world, second, "inventories", () => ({ [pf]: inventoryOf(9, 3) }));
      await meddle(world, second, "traits", () => []);
      dueSoon(world);
      const item = { type: "placement", value: { host: id } };
      expect(await syncDue(world.parts, item)).toBe("written");
      expect(await children(world, root)).toEqual(before);
      expect(await syncDue(world.parts, item)).toBe("same");
    });
  });

  describe("what others put there", () => {
    it("survives: traits, inventories, other children, and all of the host's own", async () => {
      const world = newWorld(await reach());
      const { id } = await putHost(world, 1, [{}], "theirs");
      const root = await putRoot(world, "theirs");
      await world.admin("PUT", "/traits/CUSTOM_THEIRS");
      await world.admin("PUT", "/resource_classes/CUSTOM_THEIRS");
      await meddle(world, root, "traits", () => ["CUSTOM_THEIRS"]);
      await meddle(world, root, "inventories", () => ({ CUSTOM_THEIRS: inventoryOf(7, 0) }));
      const sibling = { uuid: uuid(77_001), name: "theirs_numa0", parent_provider_uuid: root };
      await world.admin("POST", "/resource_providers", sibling);
      await syncHost(world.parts, id);
      const ours = providerId(poolOf("theirs"));
      await meddle(world, ours, "traits", (now: string[]) => [...now, "CUSTOM_THEIRS"]);
      await meddle(world, ours, "inventories", (now: object) => ({
        ...now,
        CUSTOM_THEIRS: inventoryOf(3, 1),
      }));
      const said = [{ id: uuid(1), key: "trait1", value: "CUSTOM_OURS", createdAt: 0 }];
      await change(world, 1, 0, { enabled: false, customTraits: said });
      expect(await syncHost(world.parts, id)).toBe("written");
      const find = async () => (await children(world, root)).find((one) => one.uuid === ours);
      expect((await find())?.inventories).toEqual({
        [pf]: inventoryOf(1, 1),
        CUSTOM_THEIRS: inventoryOf(3, 1),
      });
      expect((await find())?.traits).toEqual(
        expect.arrayContaining(["CUSTOM_THEIRS", "CUSTOM_OURS", "CUSTOM_FPGA"]),
      );
      await change(world, 1, 0, { customTraits: [] });
      await syncHost(world.parts, id);
      expect((await find())?.traits).not.toContain("CUSTOM_OURS");
      expect((await find())?.traits).toContain("CUSTOM_THEIRS");
      await change(world, 1, 0, { present: false });
      expect(await syncHost(world.parts, id)).toBe("written");
      expect(await find()).toMatchObject({
        inventories: { CUSTOM_THEIRS: inventoryOf(3, 1) },
        traits: ["CUSTOM_THEIRS"],
      });
      expect(await children(world, root)).toHaveLength(2);
      const own = await world.admin("GET", `/resource_providers/${root}/inventories`);
      expect(own).toMatchObject({ inventories: { CUSTOM_THEIRS: inventoryOf(7, 0) } });
    });

    it("is taken over when it has our name, wherever it hangs, with what others put on it", async () => {
      const world = newWorld(await reach());
      const { id } = await putHost(world, 1, two, "taken");
      const root = await putRoot(world, "taken");
      const elsewhere = await putRoot(world, "taken-elsewhere");
      for (const [name, parent] of [
        [poolOf("taken"), root],
        [poolOf("taken", "D5005"), elsewhere],
      ] as const) {
        const json = { uuid: providerId(name), name, parent_provider_uuid: parent };
        await world.admin("POST", "/resource_providers", json);
        await world.admin("PUT", "/traits/CUSTOM_BEFORE");
        await meddle(world, providerId(name), "traits", () => ["CUSTOM_BEFORE"]);
      }
      expect(await syncHost(world.parts, id)).toBe("written");
      expect(await children(world, elsewhere)).toEqual([]);
      const found = await children(world, root);
      expect(found.map(({ name }) => name)).toEqual([poolOf("taken", "D5005"), poolOf("taken")]);
      for (const one of found) expect(one.traits).toContain("CUSTOM_BEFORE");
    });
  });

  describe("what is in use", () => {
    it("stays without anything more to give, until its allocation is gone", async () => {
      const world = newWorld(await reach());
      const { wire } = world.parts.client;
      const { id } = await putHost(world, 1, two, "used");
      const root = await putRoot(world, "used");
      await syncHost(world.parts, id);
      const pool = providerId(poolOf("used"));
      const order = { project: "p1", user: "u1", providers: { [pool]: { [pf]: 1 } } };
      expect(await takeAllocation(wire, { ...order, consumer: uuid(900) })).toBe("taken");
      await change(world, 1, 0, { present: false });
      expect(await syncHost(world.parts, id)).toBe("written");
      const find = async () => (await children(world, root)).find((one) => one.uuid === pool);
      expect((await find())?.inventories).toEqual({ [pf]: inventoryOf(1, 1) });
      takeAsked(world);
      dueSoon(world);
      expect(await syncHost(world.parts, id)).toBe("same");
      expect(takeAsked(world).writes).toBe(0);
      await dropAllocation(wire, uuid(900));
      dueSoon(world);
      expect(await syncHost(world.parts, id)).toBe("written");
      expect(await find()).toBeUndefined();
    });

    it("is not offered anew while its allocation is on a provider of before", async () => {
      const reached = await reach();
      const world = newWorld(reached, "tree");
      const { wire } = world.parts.client;
      const { id } = await putHost(world, 1, [{}], "moved");
      const root = await putRoot(world, "moved");
      await syncHost(world.parts, id);
      const before = providerId("moved_0000:10:00.0");
      const order = { project: "p1", user: "u1", providers: { [before]: { [pf]: 1 } } };
      await takeAllocation(wire, { ...order, consumer: uuid(901) });
      const claimed = { handles: { pf: held("c1") }, clean: false };
      await change(world, 1, 0, { ...claimed, address: "0000:77:00.0" });
      expect(await syncHost(world.parts, id)).toBe("written");
      const stock = async () => (await children(world, root)).map((one) => one.inventories[pf]);
      expect(await stock()).toEqual([inventoryOf(1, 1), inventoryOf(1, 1)]);
      await dropAllocation(wire, uuid(901));
      await change(world, 1, 0, { handles: { pf: handle({ fence: 2 }) }, clean: true });
      expect(await syncHost(world.parts, id)).toBe("written");
      expect(await stock()).toEqual([inventoryOf(1, 0)]);
    });

    it("keeps its class beside the new one when a card becomes another", async () => {
      const world = newWorld(await reach(), "tree");
      const { wire } = world.parts.client;
      const { id } = await putHost(world, 1, [{}], "class");
      const root = await putRoot(world, "class");
      await syncHost(world.parts, id);
      const only = providerId("class_0000:10:00.0");
      const order = { project: "p1", user: "u1", providers: { [only]: { [pf]: 1 } } };
      await takeAllocation(wire, { ...order, consumer: uuid(902) });
      const vf = "CUSTOM_FPGA_INTEL_VF";
      await change(world, 1, 0, { resourceClass: vf });
      expect(await syncHost(world.parts, id)).toBe("written");
      const stock = async () => (await children(world, root))[0]?.inventories;
      expect(await stock()).toEqual({ [pf]: inventoryOf(1, 1), [vf]: inventoryOf(1, 0) });
      await dropAllocation(wire, uuid(902));
      expect(await syncHost(world.parts, id)).toBe("written");
      expect(await stock()).toEqual({ [vf]: inventoryOf(1, 0) });
    });
  });

  describe("a host that", () => {
    it("is removed leaves nothing of ours behind, in Placement or in the table", async () => {
      const world = newWorld(await reach());
      const host = await putHost(world, 1, two, "removed");
      const root = await putRoot(world, "removed");
      await syncHost(world.parts, host.id);
      await changeHost(world.store, host.id, (one) => ({ ...one, state: "removed" }));
      expect(await syncHost(world.parts, host.id)).toBe("written");
      expect(await children(world, root)).toEqual([]);
      expect(await readPlacement(world.store, host.id)).toBeUndefined();
      expect(await syncHost(world.parts, host.id)).toBe("same");
      expect(await syncHost(world.parts, uuid(55_555))).toBe("same");
    });

    it("has a new name has its providers under it", async () => {
      const world = newWorld(await reach());
      const { id } = await putHost(world, 1, [{}], "name-old");
      const before = await putRoot(world, "name-old");
      const after = await putRoot(world, "name-new");
      await syncHost(world.parts, id);
      await changeHost(world.store, id, (one) => ({ ...one, name: "name-new" }));
      expect(await syncHost(world.parts, id)).toBe("written");
      expect(await children(world, before)).toEqual([]);
      expect(await children(world, after)).toMatchObject([{ name: poolOf("name-new") }]);
    });

    it("got a new provider of its own has its children there", async () => {
      const world = newWorld(await reach());
      const { id } = await putHost(world, 1, [{}], "rooted");
      const before = await putRoot(world, "rooted");
      await syncHost(world.parts, id);
      await world.admin("DELETE", `/resource_providers/${providerId(poolOf("rooted"))}`);
      await world.admin("DELETE", `/resource_providers/${before}`);
      expect(await syncHost(world.parts, id)).toBe("waiting");
      const after = await putRoot(world, "rooted", uuid(77_002));
      expect(await syncHost(world.parts, id)).toBe("written");
      expect(await children(world, after)).toHaveLength(1);
    });
  });

  describe("against other writers", () => {
    it("comes to what is right, though generations move at every step for a while", async () => {
      const world = newWorld(await reach());
      const { id } = await putHost(world, 1, two, "storm");
      const root = await putRoot(world, "storm");
      await syncHost(world.parts, id);
      const pool = providerId(poolOf("storm"));
      await change(world, 1, 0, { enabled: false });
      let bumps = 0;
      world.before = async ({ method }) => {
        if (method !== "PUT" || bumps >= 5) return;
        bumps += 1;
        await meddle(world, pool, "inventories", (now) => now);
      };
      expect(await syncHost(world.parts, id)).toBe("written");
      expect(bumps).toBe(5);
      expect((await children(world, root))[1]?.inventories[pf]).toEqual(inventoryOf(1, 1));
    });

    it("gives up for now when they never rest, and is right once they do", async () => {
      const world = newWorld(await reach());
      const { id } = await putHost(world, 1, [{}], "never");
      const root = await putRoot(world, "never");
      await syncHost(world.parts, id);
      await change(world, 1, 0, { enabled: false });
      const pool = providerId(poolOf("never"));
      world.before = async ({ method }) => {
        if (method === "PUT") await meddle(world, pool, "inventories", (now) => now);
      };
      expect(await syncHost(world.parts, id)).toBe("waiting");
      expect(await readPlacement(world.store, id)).toMatchObject({ state: "failed", tries: 1 });
      world.before = async () => await Promise.resolve();
      expect(await syncHost(world.parts, id)).toBe("written");
      expect((await children(world, root))[0]?.inventories[pf]).toEqual(inventoryOf(1, 1));
    });

    it("two looks at one host at once end with the newest state of the table", async () => {
      const world = newWorld(await reach());
      const { id } = await putHost(world, 1, [{}, {}], "both");
      const root = await putRoot(world, "both");
      const all = await Promise.all([1, 2, 3].map(async () => await syncHost(world.parts, id)));
      expect(all.filter((one) => one === "waiting")).toEqual([]);
      await change(world, 1, 0, { enabled: false });
      const first = syncHost(world.parts, id);
      await change(world, 1, 1, { enabled: false });
      await Promise.all([first, syncHost(world.parts, id)]);
      expect((await children(world, root))[0]?.inventories[pf]).toEqual(inventoryOf(2, 2));
    });

    it("one that knows an older table never has the last word", async () => {
      const world = newWorld(await reach());
      const { id } = await putHost(world, 1, [{}], "older");
      const root = await putRoot(world, "older");
      await syncHost(world.parts, id);
      await change(world, 1, 0, { enabled: false });
      let isChanged = false;
      world.before = async ({ method }) => {
        if (method !== "PUT" || isChanged) return;
        isChanged = true;
        await change(world, 1, 0, { enabled: true });
      };
      expect(await syncHost(world.parts, id)).toBe("written");
      expect(isChanged).toBe(true);
      expect((await children(world, root))[0]?.inventories[pf]).toEqual(inventoryOf(1, 0));
    });

    it("owns up to what it wrote before it ended in the middle", async () => {
      const world = newWorld(await reach());
      const { id } = await putHost(world, 1, two, "killed");
      const root = await putRoot(world, "killed");
      const said = [{ id: uuid(1), key: "trait1", value: "CUSTOM_KILLED", createdAt: 0 }];
      await change(world, 1, 0, { customTraits: said });
      let notes = 0;
      const { table } = world.store;
      const write: typeof table.write = async (writes) => {
        notes += 1;
        if (notes === 2) throw new Error("killed");
        return await table.write(writes);
      };
      const parts = { ...world.parts, store: { ...world.store, table: { ...table, write } } };
      await expect(syncHost(parts, id)).rejects.toThrow("killed");
      expect(await children(world, root)).toHaveLength(2);
      await change(world, 1, 0, { customTraits: [] });
      await change(world, 1, 1, { present: false });
      expect((await readPlacement(world.store, id))?.dueAt).toBeLessThan(
        world.store.now() + 60_000,
      );
      expect(await syncHost(world.parts, id)).toBe("written");
      const found = await children(world, root);
      expect(found.map(({ name }) => name)).toEqual([poolOf("killed")]);
      expect(found[0]?.traits).not.toContain("CUSTOM_KILLED");
    });

    it("knows a trait or class that was removed behind its back", async () => {
      const world = newWorld(await reach());
      const { id } = await putHost(world, 1, [{}], "names");
      await putRoot(world, "names");
      const said = (value: string) => [{ id: uuid(1), key: "trait1", value, createdAt: 0 }];
      await change(world, 1, 0, { customTraits: said("CUSTOM_FLEETING") });
      await syncHost(world.parts, id);
      await change(world, 1, 0, { customTraits: [] });
      await syncHost(world.parts, id);
      await world.admin("DELETE", "/traits/CUSTOM_FLEETING");
      await change(world, 1, 0, { customTraits: said("CUSTOM_FLEETING") });
      expect(await syncHost(world.parts, id)).toBe("waiting");
      expect(await syncHost(world.parts, id)).toBe("written");
    });
  });
}
