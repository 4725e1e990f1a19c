import { beforeEach, describe, expect, test } from "vitest";
import { type Deployable, isOfferable } from "#domain/deployable";
import type { Host } from "#domain/host";
import type { Image } from "#domain/image";
import { changeDeployable, readDeployable } from "#store/deployables";
import { addDeployable, addHost, addImageRow, heldHandle, idOf } from "../http/rows.ts";
import { type Asking, admin, agentReports, type Door, openDoor } from "./support.ts";

let door: Door;
let host: Host;
let card: Deployable;
let image: Image;
/** What happens while a request waits; called once per look at the card. */
let meanwhile: () => Promise<unknown>;

beforeEach(async () => {
  meanwhile = async () => await agentReports(door.store, card);
  const opened = openDoor();
  door = openDoor({}, { binding: { ...opened.parts.binding, store: sleeping(opened) } });
  door = { ...door, store: opened.store };
  host = await addHost(door.store, "cmp1");
  card = await addDeployable(door.store, host, "port0");
  image = await addImageRow(door.store, "crypto");
});

/** The store of a door in which the agent works while others sleep. */
function sleeping({ store }: Door): Door["store"] {
  return { ...store, sleep: async () => void (await meanwhile()) };
}

const pathOf = (id: string) => `/accelerator/v2/deployables/${id}/program`;
const patchOf = (id: string) => [{ path: "/program", op: "replace", value: [{ image_uuid: id }] }];

async function program(asking: Partial<Asking> = {}, path = pathOf(card.id)) {
  return await door.ask("PATCH", path, { ...admin, body: patchOf(image.id), ...asking });
}

async function current(): Promise<Deployable> {
  const one = await readDeployable(door.store, host.id, card.id);
  if (one === undefined) throw new Error("the card is there");
  return one;
}

describe("programming a card that is free", () => {
  test("answers with the deployable when the card says so, and leaves it on offer", async () => {
    const { status, body } = await program();
    expect(status).toBe(200);
    expect(body).toMatchObject({ uuid: card.id, bitstream_id: image.id });
    expect(Object.keys(body)[0]).toBe("uuid");
    const after = await current();
    expect(after.imageGeneration).toBe(card.imageGeneration + 1);
    expect(after.wish).toMatchObject({ scrub: "erase", image: { id: image.id, keep: true } });
    expect(isOfferable(after)).toBe(true);
  });

  test("is not offered before it is done", async () => {
    meanwhile = async () => undefined;
    await program({ headers: { prefer: "respond-async" } });
    expect(isOfferable(await current())).toBe(false);
    await agentReports(door.store, card);
    expect(isOfferable(await current())).toBe(true);
  });

  test("that is only reset is not erased first", async () => {
    await changeDeployable(door.store, card, (one) => ({
      ...one,
      scrubMethod: "reset",
      revision: one.revision + 1,
    }));
    expect((await program()).status).toBe(200);
    const { wish } = await current();
    expect([wish.scrub, wish.image?.id]).toEqual([undefined, image.id]);
  });

  test("works by the path that newer SDKs use", async () => {
    expect((await program({}, `${pathOf(card.id)}/${card.id}`)).status).toBe(200);
    const other = await program({}, `${pathOf(card.id)}/${idOf("none")}`);
    expect(other.status).toBe(404);
  });

  test("answers at once with the operation to a client that does not want to wait", async () => {
    meanwhile = async () => await Promise.reject(new Error("nobody waits"));
    const { status, headers, text } = await program({ headers: { prefer: "respond-async" } });
    expect([status, text]).toEqual([202, ""]);
    expect(headers["location"]).toBe(`/v1/operations/${card.id}.${card.imageGeneration + 1}`);
  });

  test("names the operation when the card takes longer than the gateway waits", async () => {
    let looks = 0;
    meanwhile = async () => {
      looks += 1;
    };
    const { status, headers } = await program();
    expect(status).toBe(202);
    expect(headers["location"]).toMatch(/^\/v1\/operations\//);
    expect(looks).toBeGreaterThan(10);
    expect(door.parts.waiting.size).toBe(0);
  });

  test("does not wait beside many others", async () => {
    for (const id of ["a", "b", "c", "d"]) door.parts.waiting.add(id);
    expect((await program()).status).toBe(202);
  });

  test("says what went wrong in the card", async () => {
    const error = { code: "PROGRAM_FAILED", message: "the card said no" };
    meanwhile = async () => await agentReports(door.store, card, { phase: "failed", error });
    const { status, fault } = await program();
    expect([status, fault]).toEqual([502, "the card said no"]);
  });

  test("says that something else came after it", async () => {
    meanwhile = async () =>
      await changeDeployable(door.store, card, (one) => ({
        ...one,
        imageGeneration: one.imageGeneration + 1,
        revision: one.revision + 1,
      }));
    const { status, fault } = await program();
    expect(status).toBe(409);
    expect(fault).toMatch(/something else/);
  });
});

describe("programming is refused", () => {
  test.each([
    [[], "Exactly one operation on /program is needed"],
    [{}, "Exactly one operation on /program is needed"],
    [[...patchOf("x"), ...patchOf("x")], "Exactly one operation on /program is needed"],
    [[{ path: "/uuid", op: "replace", value: [] }], "Invalid path in patch /uuid"],
    [[{ path: "/program", op: "remove", value: [] }], "The op must be replace"],
    [[{ path: "/program", op: "replace", value: "x" }], "The value must be a list"],
    [[{ path: "/program", op: "replace", value: [] }], "The value must be a list"],
    [patchOf("x"), "Expected a uuid but received x."],
    [[{ path: "/program", op: "replace", value: [{}] }], "Expected a uuid but received"],
  ])("for %j", async (body, told) => {
    const { status, fault } = await program({ body });
    expect(status).toBe(400);
    expect(fault).toContain(told);
    expect(await current()).toEqual(card);
  });

  test("for an image that is not there", async () => {
    const { status, fault } = await program({ body: patchOf(idOf("none")) });
    expect([status, fault]).toEqual([404, `Image not found with uuid=${idOf("none")}`]);
  });

  test("for an image that is not active", async () => {
    const pending = await addImageRow(door.store, "pending", { state: "pending" });
    expect((await program({ body: patchOf(pending.id) })).status).toBe(409);
  });

  test("for an image of another region", async () => {
    const other = await addImageRow(door.store, "other", { interfaceId: idOf("elsewhere") });
    const { status, fault } = await program({ body: patchOf(other.id) });
    expect(status).toBe(409);
    expect(fault).toMatch(/not for this region/);
  });

  test.each<[string, Partial<Deployable>]>([
    ["the host is silent", { hostOnline: false }],
    ["an operation holds the card", { cardOperation: idOf("operation") }],
  ])("while %s", async (_why, facts) => {
    await changeDeployable(door.store, card, (one) => ({ ...one, ...facts, revision: 2 }));
    expect((await program()).status).toBe(409);
  });

  test("for a deployable that is not there", async () => {
    expect((await program({}, pathOf(idOf("none")))).status).toBe(404);
    expect((await program({}, pathOf("x"))).status).toBe(400);
  });

  test("while a claim of somebody else holds the card", async () => {
    const handles = { pf: heldHandle("p2", idOf("claim")) };
    await changeDeployable(door.store, card, (one) => ({ ...one, handles, revision: 2 }));
    const { status, fault } = await program();
    expect(status).toBe(409);
    expect(fault).toMatch(/another project holds/);
  });

  test("when a claim takes the card at the last moment", async () => {
    const { table: inner } = door.store;
    const get: typeof inner.get = inner.get.bind(inner);
    const handles = { pf: heldHandle("p2", idOf("claim")) };
    let reads = 0;
    const table = Object.assign(door.parts.binding.store.table, {
      get: async (...key: Parameters<typeof get>) => {
        const row = await get(...key);
        const isCard = key[0].sk.startsWith("DPL#");
        if (isCard) reads += 1;
        if (isCard && reads === 1) {
          await changeDeployable({ ...door.store, table: { ...table, get } }, card, (one) => ({
            ...one,
            handles,
            revision: one.revision + 1,
          }));
        }
        return row;
      },
    });
    const { status, fault } = await program();
    expect([status, fault]).toEqual([409, "a claim took this deployable meanwhile"]);
  });
});

test("an admin's own claims on a card agree to its programming", async () => {
  const handles = { pf: heldHandle("p1", idOf("claim")) };
  await changeDeployable(door.store, card, (one) => ({ ...one, handles, revision: 2 }));
  meanwhile = async () => await agentReports(door.store, card, { clean: false });
  const { status, body } = await program();
  expect([status, body["bitstream_id"]]).toEqual([200, image.id]);
  expect((await current()).wish.scrub).toBeUndefined();
});
