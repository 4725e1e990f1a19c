import * as fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import type { Deployable } from "#domain/deployable";
import type { Host } from "#domain/host";
import { addCustomTrait, removeCustomTrait } from "#domain/operating";
import { providersOf } from "#domain/providers/providers";
import { readDeployable } from "#store/deployables";
import { applyInventory, type FoundCard } from "#store/inventories";
import {
  asUuid,
  attributeId,
  cyborgNumber,
  prefixesOf,
} from "../../functions/accelerator/uuids.ts";
import { addDeployable, addHost, idOf } from "../http/rows.ts";
import { admin, agentReports, type Door, openDoor, root } from "./support.ts";

const path = "/accelerator/v2/attributes";

let door: Door;
let host: Host;
let card: Deployable;

beforeEach(async () => {
  door = openDoor();
  host = await addHost(door.store, "cmp1");
  card = await addDeployable(door.store, host, "port0");
});

interface AttributeBody {
  readonly uuid: string;
  readonly deployable_id: number;
  readonly key: string;
  readonly value: string;
  readonly links: readonly { readonly href: string }[];
}

async function list(query = ""): Promise<readonly AttributeBody[]> {
  const answer = await door.ask<{ attributes: AttributeBody[] }>("GET", path + query, admin);
  expect(answer.status).toBe(200);
  return answer.body.attributes;
}

async function create(body: unknown) {
  return await door.ask<AttributeBody>("POST", path, { ...admin, body });
}

const given = (value = "v", key = "k") => ({ deployable_id: card.id, key, value });
const pairs = (some: readonly AttributeBody[]) => some.map(({ key, value }) => `${key}=${value}`);

describe("attributes", () => {
  test("are the card's traits and class, with ids that stay", async () => {
    const found = await list();
    expect(pairs(found)).toEqual([
      "traits1=CUSTOM_FPGA",
      "traits2=CUSTOM_HW_INTEL",
      "rc=CUSTOM_FPGA_INTEL_PF",
    ]);
    expect(await list()).toEqual(found);
    for (const one of found) {
      const { body } = await door.ask<AttributeBody>("GET", `${path}/${one.uuid}`, admin);
      expect(body).toEqual(one);
      expect(one.links[0]?.href).toBe(`${root}${path}/${one.uuid}`);
    }
  });

  test("are found by the integer that Cyborg shows, by a uuid and by key", async () => {
    const other = await addDeployable(door.store, host, "port1");
    expect(await list()).toHaveLength(6);
    for (const id of [cyborgNumber(other.id), other.id]) {
      const found = await list(`?deployable_id=${id}`);
      expect(new Set(found.map((one) => one.deployable_id))).toEqual(
        new Set([cyborgNumber(other.id)]),
      );
      expect(found).toHaveLength(3);
    }
    expect(pairs(await list(`?deployable_id=${card.id}&key=rc`))).toEqual([
      "rc=CUSTOM_FPGA_INTEL_PF",
    ]);
    expect(await list("?deployable_id=1")).toEqual([]);
    expect(await list(`?deployable_id=${idOf("none")}`)).toEqual([]);
  });

  test.each(["x", "-1", "99999999999", "2147483648"])("refuse %s as an id", async (id) => {
    expect((await door.ask("GET", `${path}?deployable_id=${id}`, admin)).status).toBe(400);
  });

  test("that an operator gives are kept, shown and taken away again", async () => {
    const { status, body } = await create({ ...given(), deployable_id: cyborgNumber(card.id) });
    expect(status).toBe(201);
    expect(body).toMatchObject({ deployable_id: cyborgNumber(card.id), key: "k", value: "v" });
    expect(pairs(await list())).toContain("k=v");
    const shown = await door.ask<{ attributes_list: string }>(
      "GET",
      `/v2/deployables/${card.id}`,
      admin,
    );
    expect(shown.body.attributes_list).toContain('{"k":"v"}');
    expect((await door.ask("DELETE", `${path}/${body.uuid}`, admin)).status).toBe(204);
    expect(pairs(await list())).not.toContain("k=v");
    const { status: gone, fault } = await door.ask("DELETE", `${path}/${body.uuid}`, admin);
    expect([gone, fault]).toEqual([404, `Attribute not found with uuid=${body.uuid}`]);
  });

  test("that follow from the hardware cannot be taken away", async () => {
    const [trait] = await list();
    const { status, fault } = await door.ask("DELETE", `${path}/${trait?.uuid ?? ""}`, admin);
    expect([status, await list()]).toEqual([409, await list()]);
    expect(fault).toMatch(/follows from the hardware/);
  });

  test("that are traits reach Placement under their name", async () => {
    await create(given("CUSTOM_GOLD", "trait_rank"));
    const now = await readDeployable(door.store, host.id, card.id);
    const [provider] = providersOf("pool", "cmp1", now === undefined ? [] : [now], []);
    expect(provider?.traits).toContain("CUSTOM_GOLD");
    expect(pairs(await list()).filter((pair) => pair.endsWith("CUSTOM_GOLD"))).toEqual([
      "trait_rank=CUSTOM_GOLD",
    ]);
  });

  test.each<[unknown, number, RegExp]>([
    [[], 400, /deployable_id is needed/],
    ["x", 400, /is an object/],
    [{ key: "k", value: "v" }, 400, /deployable_id is needed/],
    [{ deployable_id: "x", key: "k", value: "v" }, 400, /Expected an integer or a uuid/],
    [{ deployable_id: 1, key: "k", value: "v" }, 404, /Deployable not found with id=1/],
    [{ deployable_id: 1, value: "v" }, 400, /key must be text/],
    [{ deployable_id: 1, key: "k", value: 7 }, 400, /value must be text/],
    [{ deployable_id: 1, key: "k", value: "v".repeat(256) }, 400, /value must be text/],
    [{ deployable_id: 1, key: "traits1", value: "gold" }, 400, /should start with CUSTOM_/],
  ])("are refused: %j with %i", async (body, status, why) => {
    const answer = await create(body);
    expect(answer.status).toBe(status);
    expect(answer.fault).toMatch(why);
  });

  test("of one deployable are not more than its row can hold", async () => {
    for (let n = 0; n < 64; n += 1) expect((await create(given(`v${n}`))).status).toBe(201);
    expect((await create(given())).status).toBe(409);
  });

  test("are asked for by one that is there", async () => {
    expect((await door.ask("GET", `${path}/${idOf("none")}`, admin)).status).toBe(404);
    expect((await door.ask("GET", `${path}/x`, admin)).status).toBe(400);
  });
});

test("an attribute stays whatever the agent reports and whatever inventory it sends", async () => {
  const { body } = await create(given());
  await agentReports(door.store, card, { health: { state: "degraded", reason: "hot" } });
  const found: FoundCard = {
    id: card.device,
    pciVendor: "8086",
    pciDevice: "0b30",
    cardId: card.cardId,
    kind: "FPGA",
    vendor: "intel",
    product: "another",
    address: "0000:5e:00.0",
    driver: "simulated",
    layout: "regions",
    deployables: [
      {
        id: card.id,
        region: "port0",
        interfaceId: idOf("interface"),
        programmable: true,
        scrubMethod: "erase",
        sharing: "none",
        loaded: { functionId: null },
        health: { state: "ok" },
        handles: [{ name: "pf", type: "PF", address: "0000:5e:00.0", attachable: true }],
      },
    ],
  };
  await applyInventory(door.store, host, [found]);
  expect(await readDeployable(door.store, host.id, card.id)).toMatchObject({ product: "another" });
  expect((await list()).map(({ uuid }) => uuid)).toContain(body.uuid);
  await applyInventory(door.store, host, []);
  await applyInventory(door.store, host, [found]);
  expect((await list()).map(({ uuid }) => uuid)).toContain(body.uuid);
});

describe("ids", () => {
  const uuids = fc.uuid();

  test("any spelling of a uuid means the same", () => {
    fc.assert(
      fc.property(uuids, (uuid) => {
        const bare = uuid.replaceAll("-", "");
        for (const text of [uuid, uuid.toUpperCase(), bare, `{${uuid}}`, `urn:uuid:${uuid}`]) {
          expect(asUuid(text)).toBe(uuid);
        }
      }),
    );
    for (const text of ["", "x", 7, null, "a".repeat(33), `${"a".repeat(31)}-`, "a".repeat(100)]) {
      expect(asUuid(text)).toBeUndefined();
    }
  });

  test("an integer of 31 bits leads back to the uuid it was made of", () => {
    fc.assert(
      fc.property(uuids, (uuid) => {
        const number = cyborgNumber(uuid);
        expect(number).toBeGreaterThanOrEqual(0);
        expect(number).toBeLessThan(2 ** 31);
        expect(prefixesOf(number)).toContain(uuid.slice(0, 8));
      }),
    );
  });

  test("an attribute's uuid leads to its deployable", () => {
    fc.assert(
      fc.property(uuids, fc.string(), (uuid, value) => {
        const id = attributeId(uuid, "trait", value);
        expect(asUuid(id)).toBe(id);
        expect(id.slice(0, 8)).toBe(uuid.slice(0, 8));
        expect(id).not.toBe(attributeId(uuid, "rc", value));
      }),
    );
  });
});

test("giving and taking an attribute raises the revision, and taking none does not", () => {
  const attribute = { id: idOf("attribute"), key: "k", value: "v", createdAt: 5 };
  const more = addCustomTrait(card, attribute, 9);
  expect(more).toMatchObject({ revision: card.revision + 1, updatedAt: 9 });
  expect(removeCustomTrait(more, idOf("other"), 10)).toBe(more);
  const less = removeCustomTrait(more, attribute.id, 10);
  expect(less).toMatchObject({ customTraits: [], revision: card.revision + 2 });
});
