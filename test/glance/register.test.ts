import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Image } from "#domain/image";
import type { OpenStack } from "#openstack/cloud";
import { openSession } from "#openstack/session";
import { addImage, changeImage, readImage } from "#store/images";
import { oweRegistrations, register } from "../../functions/glance/register.ts";
import { image } from "../domain/builders.ts";
import { newStore, type TestStore } from "../store/support.ts";
import { type FakeGlance, startFakeGlance } from "./fake-glance.ts";

const id = "11111111-2222-4333-8444-555555555555";
const bytes = Buffer.from("a bitstream");
const md5 = createHash("md5").update(bytes).digest("hex");

let glance: FakeGlance;
let store: TestStore;
let openstack: OpenStack;

beforeEach(async () => {
  glance = await startFakeGlance();
  store = newStore();
  openstack = openSession({
    fetch: globalThis.fetch,
    now: () => store.now(),
    endpoints: { image: `${glance.url}/v2` },
    interface: "public",
  });
  const ours = image({ id, md5, size: bytes.length, visibility: "shared", interfaceId: undefined });
  await store.table.write([addImage(ours)]);
  expect(await oweRegistrations({ store })).toBe(1);
});
afterEach(async () => await glance.close());

async function once(): Promise<boolean> {
  const read = async () => await Promise.resolve(Readable.from([bytes]));
  return await register({ store, openstack, bucket: { read } }, id);
}

async function known(): Promise<Image> {
  const found = await readImage(store, id);
  if (found === undefined) throw new Error("the image is there");
  return found;
}

const there = () => glance.images.get(id);
const become = async (state: Image["state"]) =>
  await changeImage(store, id, (one) => ({ ...one, state }));

describe("an image of ours", () => {
  test("is owed to Glance once, however often that is asked", async () => {
    expect(await oweRegistrations({ store })).toBe(0);
    expect(await once()).toBe(true);
    expect(there()).toMatchObject({ bytes, facts: { status: "active", visibility: "community" } });
    expect(await once()).toBe(false);
    expect(await oweRegistrations({ store })).toBe(0);
  });

  test("is filled when only its description got there", async () => {
    glance.refuse = (method) => (method === "PUT" ? 500 : undefined);
    await once();
    expect(there()?.facts["status"]).toBe("queued");
    glance.refuse = () => undefined;
    expect(await once()).toBe(false);
    store.clock.now += 30_000;
    expect(await once()).toBe(true);
    expect(there()?.bytes).toEqual(bytes);
    expect((await known()).registration).toEqual({ told: "active", tries: 1, dueAt: store.now() });
    expect(glance.asked.filter((one) => one.startsWith("POST"))).toHaveLength(1);
  });

  test("waits while Glance is away, longer each time, and says why", async () => {
    glance.refuse = () => 503;
    for (const [tries, wait] of [30_000, 60_000, 120_000].entries()) {
      expect(await once()).toBe(true);
      expect((await known()).registration).toMatchObject({
        tries: tries + 1,
        problem: "image: Glance answered 503",
        dueAt: store.now() + wait,
      });
      store.clock.now += wait;
    }
  });

  test("is deactivated while it is rejected, and back when it is active again", async () => {
    await once();
    await become("rejected");
    await once();
    expect(there()?.facts["status"]).toBe("deactivated");
    await become("active");
    await once();
    expect(there()?.facts["status"]).toBe("active");
    expect(await once()).toBe(false);
  });

  test("is deleted when it is retired, also when it never got its bytes", async () => {
    glance.refuse = (method) => (method === "PUT" ? 500 : undefined);
    await once();
    await become("retired");
    store.clock.now += 30_000;
    await once();
    expect(there()?.facts["status"]).toBe("deleted");
    expect((await known()).registration?.told).toBe("deleted");
  });

  test("that was never tried is not told of when it is retired", async () => {
    await become("retired");
    expect(await once()).toBe(false);
    expect(glance.asked).toEqual([]);
  });

  test("is being written by somebody else: again later", async () => {
    glance.refuse = (method) => (method === "PUT" ? 409 : undefined);
    await once();
    expect((await known()).registration?.isRefused).toBeUndefined();
    Object.assign(there()?.facts ?? {}, { status: "saving" });
    store.clock.now += 30_000;
    await once();
    expect((await known()).registration?.problem).toBe(`image ${id} is saving in Glance`);
  });

  test("whose id was deleted in Glance is given up", async () => {
    await once();
    Object.assign(there()?.facts ?? {}, { status: "deleted" });
    await become("rejected");
    await once();
    await become("active");
    await once();
    expect((await known()).registration).toMatchObject({
      isRefused: true,
      problem: "this id was deleted in Glance, which forgets none",
    });
    store.clock.now += 24 * 3_600_000;
    expect(await once()).toBe(false);
  });

  test("is given up when Glance has other bytes under its id", async () => {
    const facts = { id, status: "active", visibility: "public", checksum: "00", size: 1 };
    glance.images.set(id, { facts: { ...facts, updated_at: "2026-01-01T00:00:00Z" } });
    await once();
    expect((await known()).registration).toMatchObject({
      isRefused: true,
      problem: `Glance has other bytes under the id ${id}`,
    });
  });
});
