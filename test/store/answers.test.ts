import { describe, expect, it } from "vitest";
import { recall, rememberOnce, replayed } from "#store/idempotency";
import {
  addImage,
  allImages,
  changeImage,
  imageStillActive,
  listImages,
  readImage,
  replaceImage,
  requireActive,
  visibleImage,
} from "#store/images";
import { quotaKey } from "#store/keys";
import { memoryTable } from "#store/memory-table";
import { listQuotas, openQuota, quotaOf, returnQuota, setQuota, takeQuota } from "#store/quotas";
import type { Store } from "#store/store";
import { image, uuid } from "../domain/builders.ts";
import { newStore, pf, refusal } from "./support.ts";

const once = { id: "p1 POST /claims key-1", body: "digest-1" };

describe("a request with an idempotency key", () => {
  it("is remembered with its first answer and done once", async () => {
    const store = newStore();
    expect(await recall(store, once)).toBeUndefined();
    const writes = [1, 2].map(
      async (answer) => await store.table.write([rememberOnce(once, { answer }, store.now())]),
    );
    expect((await Promise.all(writes)).map((one) => one.ok)).toEqual([true, false]);
    expect(await recall(store, once)).toEqual({ answer: 1 });
  });

  it("with another body is a mismatch that names the header", async () => {
    const store = newStore();
    await store.table.write([rememberOnce(once, { answer: 1 }, store.now())]);
    const other = { ...once, body: "digest-2" };
    await expect(recall(store, other)).rejects.toMatchObject({
      code: "IDEMPOTENCY_MISMATCH",
      detail: { field: "Idempotency-Key" },
    });
    const item = await store.table.get({ pk: `IDEMPOTENCY#${once.id}`, sk: "IDEMPOTENCY" });
    expect(() => replayed(other, item ?? {})).toThrow("idempotency key");
  });

  it("is kept for a day and absent after its time, although its row is still there", async () => {
    const store = newStore();
    await store.table.write([rememberOnce(once, { answer: 1 }, store.now())]);
    store.clock.now += 24 * 3_600_000;
    expect(await recall(store, once)).toEqual({ answer: 1 });
    expect((await store.table.write([rememberOnce(once, { answer: 2 }, store.now())])).ok).toBe(
      false,
    );
    store.clock.now += 3 * 3_600_000;
    expect(await recall(store, once)).toBeUndefined();
    expect((await store.table.write([rememberOnce(once, { answer: 2 }, store.now())])).ok).toBe(
      true,
    );
    expect(await recall(store, once)).toEqual({ answer: 2 });
  });
});

describe("an image", () => {
  it("is written once and replaced only as it was read", async () => {
    const store = newStore();
    expect((await store.table.write([addImage(image())])).ok).toBe(true);
    expect((await store.table.write([addImage(image())])).ok).toBe(false);
    const retired = { ...image(), state: "retired" as const };
    expect((await store.table.write([replaceImage(image(), retired)])).ok).toBe(true);
    expect((await store.table.write([replaceImage(image(), image())])).ok).toBe(false);
    expect(await readImage(store, image().id)).toEqual({ ...retired, revision: 2 });
  });

  it("lets a transaction pass only while it is active", async () => {
    const store = newStore();
    const { id } = image();
    expect((await store.table.write([imageStillActive(id)])).ok).toBe(false);
    await store.table.write([addImage(image())]);
    expect((await store.table.write([imageStillActive(id)])).ok).toBe(true);
    await changeImage(store, id, (one) => ({ ...one, state: "rejected" }));
    expect((await store.table.write([imageStillActive(id)])).ok).toBe(false);
  });

  it("is unknown to other projects while it is private", async () => {
    const store = newStore();
    await store.table.write([addImage(image({ visibility: "private" }))]);
    const { id } = image();
    const seen = async (project: string, isAdmin = false) =>
      await visibleImage(store, id, { project, isAdmin });
    expect((await seen("p1")).id).toBe(id);
    expect((await seen("p2", true)).id).toBe(id);
    expect(await refusal(seen("p2"))).toBe("UNKNOWN_IMAGE");
    expect(await refusal(visibleImage(store, uuid(9), { project: "p1", isAdmin: true }))).toBe(
      "UNKNOWN_IMAGE",
    );
  });

  it("that is not active tells why", () => {
    const reason = { code: "IMAGE_CORRUPT", message: "the digest differs" };
    expect(requireActive(image())).toEqual(image());
    expect(() => requireActive({ ...image(), state: "rejected", reason })).toThrow(
      "the digest differs",
    );
    expect(() => requireActive({ ...image(), state: "pending" })).toThrow("is pending");
  });

  it("changes by the newest value, TRY_AGAIN after six lost races, UNKNOWN_IMAGE when there is none", async () => {
    const inner = memoryTable();
    const store = newStore(inner);
    expect(await refusal(changeImage(store, uuid(9), (one) => one))).toBe("UNKNOWN_IMAGE");
    await store.table.write([addImage(image({ name: "" }))]);
    const { id } = image();
    const add = async (letter: string) =>
      await changeImage(store, id, (one) => ({ ...one, name: `${one.name}${letter}` }));
    await Promise.all([add("a"), add("b"), add("c")]);
    expect((await readImage(store, id))?.name).toHaveLength(3);
    const busy = newStore({
      ...inner,
      write: async (writes) => ({
        ok: false,
        failures: writes.map(() => ({ reason: "conflict" })),
      }),
    });
    expect(await refusal(changeImage(busy, id, (one) => ({ ...one })))).toBe("TRY_AGAIN");
  });

  it("is listed page by page, and all of them for the catalogue", async () => {
    const store = newStore();
    for (let number = 0; number < 230; number += 1) {
      await store.table.write([addImage(image({ id: uuid(number), name: `i${number % 2}` }))]);
    }
    const page = await listImages(store, () => true, { limit: 3 });
    expect(page.items).toHaveLength(3);
    expect(await allImages(store, (one) => one.name === "i1")).toHaveLength(115);
  });
});

describe("a quota", () => {
  const where = { project: "p1", resourceClass: pf };

  async function read(store: Store) {
    const item = await store.table.get(quotaKey("p1", pf));
    return item && quotaOf(item);
  }

  async function take(store: Store, count: number): Promise<boolean> {
    return (await store.table.write([takeQuota("p1", pf, count)])).ok;
  }

  it("gives what is left and not one more", async () => {
    const store = newStore();
    await openQuota(store, where, 5);
    expect(await take(store, 3)).toBe(true);
    expect(await take(store, 3)).toBe(false);
    expect(await take(store, 2)).toBe(true);
    await store.table.write([returnQuota("p1", pf, 4)]);
    expect(await read(store)).toEqual({ ...where, limit: 5, left: 4 });
  });

  it("is not given by a project that has none", async () => {
    expect(await take(newStore(), 1)).toBe(false);
  });

  it("keeps what is held when its limit falls below it", async () => {
    const store = newStore();
    await openQuota(store, where, 5);
    await take(store, 4);
    expect(await setQuota(store, { ...where, limit: 2 })).toMatchObject({ limit: 2, left: -2 });
    expect(await take(store, 1)).toBe(false);
    await store.table.write([returnQuota("p1", pf, 3)]);
    expect(await read(store)).toMatchObject({ limit: 2, left: 1 });
  });

  it("is set before it was ever used", async () => {
    const store = newStore();
    await setQuota(store, { ...where, limit: 7 });
    await openQuota(store, where, 100);
    expect((await listQuotas(store, "p1", {})).items).toEqual([{ ...where, limit: 7, left: 7 }]);
  });

  it("stays exact under takers, givers and limits at once", async () => {
    const store = newStore();
    await openQuota(store, where, 10);
    let holding = 0;
    const taker = async () => {
      if (await take(store, 1)) holding += 1;
    };
    const limits = [3, 8, 12].map(async (limit) => {
      await setQuota(store, { ...where, limit });
    });
    await Promise.all([...Array.from({ length: 20 }, taker), ...limits]);
    const after = await read(store);
    expect(after && after.limit - after.left).toBe(holding);
  });

  it("asks to come again when others set it all the time", async () => {
    const inner = memoryTable();
    await openQuota(newStore(inner), where, 5);
    const store = newStore({
      ...inner,
      write: async (writes) => ({
        ok: false,
        failures: writes.map(() => ({ reason: "condition" })),
      }),
    });
    expect(await refusal(setQuota(store, { ...where, limit: 9 }))).toBe("TRY_AGAIN");
  });
});
