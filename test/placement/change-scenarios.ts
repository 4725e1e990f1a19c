import { describe, expect, it } from "vitest";
import type { Image } from "#domain/image";
import { inventoryOf } from "#domain/providers/provider";
import { deployableRow, readDeployable } from "#store/deployables";
import { dueRows } from "#store/due";
import { changeHost } from "#store/hosts";
import { changeImage } from "#store/images";
import { readPlacement } from "#store/placement";
import { rowOf } from "#store/rows";
import type { Item } from "#store/table";
import type { Change } from "../../functions/events/table-changed.ts";
import {
  enlistHosts,
  placementChanged,
  syncDue,
} from "../../functions/openstack/placement-changes.ts";
import { syncHost } from "../../functions/openstack/placement-sync.ts";
import { handle, held, uuid } from "../domain/builders.ts";
import { putImage } from "../store/support.ts";
import {
  change,
  children,
  newWorld,
  putHost,
  putRoot,
  type Reached,
  takeAsked,
  type World,
} from "./kit.ts";

const pf = "CUSTOM_FPGA_INTEL_PF";
const changed = (type: string, before: object | undefined, after: object | undefined): Change => {
  const row = (value: object | undefined) =>
    value === undefined ? undefined : rowOf({ pk: "x", sk: "x" }, type, value);
  return { id: "1", at: 0, before: row(before), after: row(after) };
};
const imageChange = (before: Image | undefined, after: Image) => changed("image", before, after);
const traitsOf = async (world: World, root: string) =>
  (await children(world, root)).flatMap(({ traits }) => traits);

async function allDue({ store }: World): Promise<readonly Item[]> {
  const rows: Item[] = [];
  for await (const item of dueRows(store, "SYNC")) rows.push(item);
  return rows;
}

/** Two hosts with cards of region a, one with cards of region b, all in Placement. */
async function threeHosts(world: World, label: string): Promise<readonly string[]> {
  const roots: string[] = [];
  for (const [number, region] of [
    [1, "region-a"],
    [2, "region-a"],
    [3, "region-b"],
  ] as const) {
    const facts = { interfaceId: region };
    const { id } = await putHost(world, number, [facts, facts], `${label}-${number}`);
    roots.push(await putRoot(world, `${label}-${number}`));
    await syncHost(world.parts, id);
  }
  takeAsked(world);
  return roots;
}

/** What changes of rows do to Placement, whichever Placement it is. */
export function changeScenarios(reach: () => Promise<Reached>): void {
  describe("a change", () => {
    it("of a card is in Placement at once, and only its host is looked at", async () => {
      const world = newWorld(await reach());
      const [root = ""] = await threeHosts(world, "card");
      const { before, after } = await change(world, 1, 0, { enabled: false });
      await placementChanged(world.parts, [changed("deployable", before, after)]);
      expect(takeAsked(world)).toEqual({ reads: 1, writes: 1 });
      expect((await children(world, root))[0]?.inventories[pf]).toEqual(inventoryOf(2, 1));
    });

    it("that no provider shows costs no request", async () => {
      const world = newWorld(await reach());
      await threeHosts(world, "quiet");
      const { before, after } = await change(world, 1, 0, { phase: "verifying", lastProject: "p" });
      await placementChanged(world.parts, [
        changed("deployable", before, after),
        changed("host", { id: uuid(1), name: "n", state: "joined" }, { id: uuid(1), name: "n" }),
        changed("claim", undefined, { id: uuid(2) }),
      ]);
      expect(takeAsked(world)).toEqual({ reads: 0, writes: 0 });
    });

    it("that changes what claims hold, and not what may be taken, costs no request", async () => {
      const world = newWorld(await reach());
      const [root = ""] = await threeHosts(world, "held");
      const claimed = { handles: { pf: held("c1") }, clean: false };
      const { before, after } = await change(world, 1, 0, claimed);
      await placementChanged(world.parts, [changed("deployable", before, after)]);
      expect(takeAsked(world)).toEqual({ reads: 0, writes: 0 });
      const dirty = { handles: { pf: handle({ state: "releasing", fence: 2 }) } };
      const next = await change(world, 1, 0, dirty);
      await placementChanged(world.parts, [changed("deployable", next.before, next.after)]);
      expect(takeAsked(world)).toEqual({ reads: 0, writes: 0 });
      const last = await change(world, 1, 0, { enabled: false });
      await placementChanged(world.parts, [changed("deployable", last.before, last.after)]);
      expect(takeAsked(world)).toEqual({ reads: 1, writes: 1 });
      expect((await children(world, root))[0]?.inventories[pf]).toEqual(inventoryOf(2, 1));
    });

    it("may come twice and late: the table counts, not what the change says", async () => {
      const world = newWorld(await reach());
      const [root = ""] = await threeHosts(world, "twice");
      const first = await change(world, 1, 0, { enabled: false });
      const second = await change(world, 1, 0, { enabled: true });
      const changes = [second, first, first].map(({ before, after }) =>
        changed("deployable", before, after),
      );
      await placementChanged(world.parts, changes);
      expect((await children(world, root))[0]?.inventories[pf]).toEqual(inventoryOf(2, 0));
      expect(takeAsked(world).writes).toBe(0);
    });

    it("of a host that is removed takes its providers away", async () => {
      const world = newWorld(await reach());
      const [root = ""] = await threeHosts(world, "leaving");
      const id = uuid(10_001);
      const after = await changeHost(world.store, id, (one) => ({ ...one, state: "removed" }));
      const before = { ...after, state: "offline" };
      await placementChanged(world.parts, [changed("host", before, after)]);
      expect(await children(world, root)).toEqual([]);
    });
  });

  describe("an image", () => {
    it("that is ingested shows on the providers it fits and on no other", async () => {
      const world = newWorld(await reach());
      const roots = await threeHosts(world, "ingest");
      const image = await putImage(world.store);
      await placementChanged(world.parts, [imageChange({ ...image, state: "verifying" }, image)]);
      const { writes } = takeAsked(world);
      const shown = await Promise.all(roots.map(async (root) => await traitsOf(world, root)));
      expect(shown.map((traits) => traits.includes("CUSTOM_HW_CRYPTO"))).toEqual([
        true,
        true,
        false,
      ]);
      expect(writes).toBe(2);
      const retired = await changeImage(world.store, image.id, (one) => ({
        ...one,
        state: "retired",
      }));
      await placementChanged(world.parts, [imageChange(image, retired)]);
      expect((await traitsOf(world, roots[0] ?? "")).join()).not.toContain("CRYPTO");
    });

    it("counts as the stream tells it, though the index of images lags behind", async () => {
      const world = newWorld(await reach());
      const [root = ""] = await threeHosts(world, "lagging");
      const known = world.parts.images;
      const image = await putImage(world.store);
      const blind = { recent: async () => [], fresh: async () => [] };
      const parts = { ...world.parts, images: blind };
      await placementChanged(parts, [imageChange(undefined, image)]);
      expect(await traitsOf(world, root)).toContain("CUSTOM_ACCELERATOR_CRYPTO");
      const older = { ...image, state: "verifying", revision: 0 } as const;
      await placementChanged({ ...parts, images: known }, [imageChange(undefined, older)]);
      expect(await traitsOf(world, root)).toContain("CUSTOM_ACCELERATOR_CRYPTO");
    });

    it("that is private, or not verified yet, changes nothing", async () => {
      const world = newWorld(await reach());
      await threeHosts(world, "private");
      const image = await putImage(world.store, { visibility: "private" });
      await placementChanged(world.parts, [imageChange(undefined, image)]);
      const pending = { ...image, visibility: "public", state: "verifying" } as const;
      await placementChanged(world.parts, [imageChange(undefined, pending)]);
      expect(takeAsked(world).writes).toBe(0);
    });

    it("is read anew before anything is written", async () => {
      const world = newWorld(await reach());
      const [root = ""] = await threeHosts(world, "anew");
      // What is remembered of images is from before this one.
      await world.parts.images.recent();
      await putImage(world.store);
      await change(world, 1, 0, { enabled: false });
      await syncHost(world.parts, uuid(10_001));
      expect(await traitsOf(world, root)).toContain("CUSTOM_HW_CRYPTO");
    });
  });

  describe("the work list", () => {
    it("has every host that was never looked at, once", async () => {
      const world = newWorld(await reach());
      for (const number of [1, 2, 3]) await putHost(world, number, [{}], `listed-${number}`);
      const root = await putRoot(world, "listed-1");
      await syncHost(world.parts, uuid(10_001));
      expect(await enlistHosts(world.parts)).toBe(2);
      expect(await enlistHosts(world.parts)).toBe(0);
      await putRoot(world, "listed-2");
      const outcomes: string[] = [];
      for await (const item of dueRows(world.store, "SYNC")) {
        outcomes.push(await syncDue(world.parts, item));
      }
      expect(outcomes.toSorted()).toEqual(["waiting", "written"]);
      expect(await children(world, root)).toHaveLength(1);
    });

    it("passes over what somebody has looked at since, or forgot", async () => {
      const world = newWorld(await reach());
      await threeHosts(world, "since");
      world.store.clock.now += 61_000;
      const rows = await allDue(world);
      expect(rows).toHaveLength(3);
      const id = uuid(10_001);
      const item = rows.find(({ pk }) => pk === `HOST#${id}`) ?? {};
      await syncHost(world.parts, id);
      takeAsked(world);
      expect(await syncDue(world.parts, item)).toBe("same");
      const strange = rowOf({ pk: "HOST#x", sk: "PLACEMENT" }, "placement", { host: uuid(9) });
      expect(await syncDue(world.parts, strange)).toBe("same");
      expect(takeAsked(world).reads).toBe(0);
    });
  });

  describe("while Placement is away", () => {
    it("a host is remembered, said once, left alone for a while, and right afterwards", async () => {
      const world = newWorld(await reach());
      const roots = await threeHosts(world, "away");
      let asked = 0;
      world.before = async () => {
        asked += 1;
        await Promise.reject(new TypeError("fetch failed"));
      };
      const changes: Change[] = [];
      for (const number of [1, 2, 3]) {
        const { before, after } = await change(world, number, 0, { enabled: false });
        changes.push(changed("deployable", before, after));
      }
      await placementChanged(world.parts, changes);
      const first = asked;
      expect(first).toBeLessThanOrEqual(3);
      await placementChanged(world.parts, changes);
      expect(asked).toBe(first);
      expect(new Set(world.logged).size).toBe(world.logged.length);
      const states = await Promise.all(
        [1, 2, 3].map(async (number) => await readPlacement(world.store, uuid(10_000 + number))),
      );
      for (const record of states) {
        expect((record?.dueAt ?? 0) - world.store.now()).toBeLessThanOrEqual(10_000);
      }
      expect(states.some((record) => record?.state === "failed")).toBe(true);
      world.before = async () => await Promise.resolve();
      world.store.clock.now += 10_000;
      for await (const item of dueRows(world.store, "SYNC")) await syncDue(world.parts, item);
      for (const root of roots) {
        expect((await children(world, root))[0]?.inventories[pf]).toEqual(inventoryOf(2, 1));
      }
      expect(world.logged.at(-1)).toContain("up to date again");
    });

    it("nothing is lost of an image that many hosts wait for", async () => {
      const world = newWorld(await reach());
      await threeHosts(world, "lost");
      world.before = async () => await Promise.reject(new TypeError("fetch failed"));
      const image = await putImage(world.store);
      await placementChanged(world.parts, [imageChange(undefined, image)]);
      world.store.clock.now += 10_000;
      expect(await allDue(world)).toHaveLength(2);
    });

    it("and not of one whose hosts nobody comes to look at", async () => {
      const world = newWorld(await reach());
      await threeHosts(world, "killed");
      const image = await putImage(world.store);
      const killed = async () => await Promise.reject(new Error("killed"));
      const parts = { ...world.parts, images: { recent: killed, fresh: killed } };
      const changes = [imageChange(undefined, image)];
      await expect(placementChanged(parts, changes)).rejects.toThrow("killed");
      expect(await allDue(world)).toHaveLength(2);
    });

    it("the table's own faults are told, because somebody has to try again", async () => {
      const world = newWorld(await reach());
      await threeHosts(world, "table");
      const { before, after } = await change(world, 1, 0, { enabled: false });
      const get = async () => await Promise.reject(new Error("the table is away"));
      const table = { ...world.store.table, get };
      const parts = { ...world.parts, store: { ...world.store, table } };
      const changes = [changed("deployable", before, after)];
      await expect(placementChanged(parts, changes)).rejects.toThrow("the table is away");
    });
  });

  it("a host whose card came and went is as before", async () => {
    const world = newWorld(await reach());
    const [root = ""] = await threeHosts(world, "guest");
    const before = await children(world, root);
    const guest = await readDeployable(world.store, uuid(10_001), uuid(101));
    const row = { ...(guest as NonNullable<typeof guest>), id: uuid(150), product: "d5005" };
    await world.store.table.write([{ kind: "put", item: deployableRow(row) }]);
    await placementChanged(world.parts, [changed("deployable", undefined, row)]);
    expect(await children(world, root)).toHaveLength(2);
    const gone = { ...row, present: false };
    await world.store.table.write([{ kind: "put", item: deployableRow(gone) }]);
    await placementChanged(world.parts, [changed("deployable", row, gone)]);
    expect(await children(world, root)).toEqual(before);
  });
}
