import { beforeEach, describe, expect, test } from "vitest";
import { type Deployable, isOfferable } from "#domain/deployable";
import type { Host } from "#domain/host";
import { mark } from "#domain/transitions";
import { readClaim } from "#store/claims";
import { countingTable } from "#store/counting-table";
import { changeDeployable, readDeployable } from "#store/deployables";
import { readOwedEvent } from "#store/outbox";
import { acceleratorFunction } from "../../functions/accelerator/api.ts";
import { addClaimRow, addDeployable, addHost, addImageRow, idOf } from "../http/rows.ts";
import {
  addDevice,
  admin,
  agentReports,
  bindOperations,
  type Door,
  member,
  nova,
  openDoor,
  providerOf,
  unbindOperations,
} from "./support.ts";

/** What is wrong in Cyborg (cyborg.md §9 and §1) and is not wrong here. */

const requests = "/accelerator/v2/accelerator_requests";
const vm = idOf("vm");

let door: Door;
let host: Host;
let card: Deployable;
let provider: string;

beforeEach(async () => {
  door = openDoor();
  host = await addHost(door.store, "cmp1");
  card = await addDeployable(door.store, host, "port0");
  provider = await providerOf(door, host, card);
  await makeProfile("dp1", {});
});

async function makeProfile(name: string, more: Readonly<Record<string, string>>): Promise<void> {
  const groups = [{ "resources:CUSTOM_FPGA_INTEL_PF": "1", ...more }];
  const body = [{ name, groups }];
  await door.ask("POST", "/v2/device_profiles", { ...admin, body });
}

async function request(profile = "dp1", project = "p1"): Promise<string> {
  const body = { device_profile_name: profile };
  const answer = await door.ask<{ arqs: { uuid: string }[] }>("POST", requests, {
    ...member,
    project,
    body,
  });
  return answer.body.arqs[0]?.uuid ?? "";
}

async function bind(id: string, instance = vm, behind = provider) {
  const body = { [id]: bindOperations("cmp1", behind, instance) };
  return await door.ask("PATCH", requests, { ...nova, body });
}

async function stateOf(id: string): Promise<string | undefined> {
  return (await readClaim(door.store, id))?.state;
}

async function current(): Promise<Deployable> {
  const one = await readDeployable(door.store, host.id, card.id);
  if (one === undefined) throw new Error("the card is there");
  return one;
}

describe("security", () => {
  test("CVE-2026-40213: a member can neither list cards nor program them", async () => {
    const program = [{ path: "/program", op: "replace", value: [{ image_uuid: idOf("image") }] }];
    for (const [method, path, body] of [
      ["GET", "/v2/devices", undefined],
      ["GET", "/v2/deployables", undefined],
      ["GET", "/v2/attributes", undefined],
      ["PATCH", `/v2/deployables/${card.id}/program`, program],
    ] as const) {
      expect((await door.ask(method, path, { ...member, body })).status).toBe(403);
    }
    expect(await current()).toEqual(card);
  });

  test("CVE-2026-40214: a request belongs to its project, and no other can touch it", async () => {
    const id = await request();
    const other = { ...nova, project: "p2" };
    const body = { [id]: bindOperations("cmp1", provider, vm) };
    expect((await door.ask("PATCH", requests, { ...other, body })).status).toBe(404);
    expect((await door.ask("GET", `${requests}/${id}`, other)).status).toBe(404);
    expect((await door.ask("DELETE", `${requests}?arqs=${id}`, other)).status).toBe(404);
    await bind(id);
    expect((await door.ask("DELETE", `${requests}?instance=${vm}`, other)).status).toBe(204);
    expect(await readClaim(door.store, id)).toMatchObject({ project: "p1", state: "BindStarted" });
  });

  test("SQL texts in 500 bodies: what the table says of a request is not shown", async () => {
    const told = "ValidationException: account 1234 may not dynamodb:Query";
    door.store.table.query = async () => await Promise.reject(new Error(told));
    const { status, text } = await door.ask("GET", "/v2/device_profiles");
    expect(status).toBe(500);
    expect(text).not.toContain("dynamodb");
    expect(door.logged).toHaveLength(1);
  });

  test("image content unverified: only an image that was verified is programmed", async () => {
    const image = await addImageRow(door.store, "unverified", { state: "verifying" });
    const body = [{ path: "/program", op: "replace", value: [{ image_uuid: image.id }] }];
    const path = `/v2/deployables/${card.id}/program`;
    expect((await door.ask("PATCH", path, { ...admin, body })).status).toBe(409);
  });
});

describe("stuck or lying states", () => {
  test("1: programming that fails fails the request, and Nova is told", async () => {
    const image = await addImageRow(door.store, "crypto");
    await makeProfile("crypto", { "accel:bitstream_id": image.id });
    const id = await request("crypto");
    await bind(id);
    const error = { code: "PROGRAM_FAILED", message: "the card said no" };
    await agentReports(door.store, card, { phase: "failed", error, clean: false });
    expect(await stateOf(id)).toBe("BindFailed");
    expect(await readOwedEvent(door.store, id)).toMatchObject({ status: "failed", instance: vm });
  });

  test("2: an unknown resource provider is 404 and the request stays as it was", async () => {
    const id = await request();
    const { status, fault } = await bind(id, vm, idOf("none"));
    expect(status).toBe(404);
    expect(fault).toBe(`Deployable not found with resource provider uuid=${idOf("none")}`);
    expect(await stateOf(id)).toBe("Initial");
    expect((await bind(id)).status).toBe(202);
  });

  test("2: a request for which no handle is left fails, and Nova is told", async () => {
    await bind(await request());
    const late = await request();
    expect((await bind(late, idOf("vm2"))).status).toBe(409);
    expect(await stateOf(late)).toBe("BindFailed");
    expect(await readOwedEvent(door.store, late)).toMatchObject({ status: "failed" });
  });

  test("3: a bind does not ask Nova: what it has to hear is owed until it heard it", async () => {
    const id = await request();
    expect((await bind(id)).status).toBe(202);
    await agentReports(door.store, card, { clean: false });
    expect(await stateOf(id)).toBe("Bound");
    expect(await readOwedEvent(door.store, id)).toMatchObject({ status: "completed", tries: 0 });
  });

  test("5: a card that goes while it is used holds up no list", async () => {
    await addDevice(door.store, host, [card]);
    const id = await request();
    await bind(id);
    await agentReports(door.store, card, { clean: false });
    await changeDeployable(door.store, card, (one) =>
      mark(one, { present: false }, door.store.now()),
    );
    for (const path of ["devices", "deployables", "attributes", "accelerator_requests"]) {
      expect((await door.ask("GET", `/v2/${path}`, admin)).status).toBe(200);
    }
    expect(await stateOf(id)).toBe("Bound");
  });

  test("6: a card that was disabled stays so whatever changes on it", async () => {
    const device = await addDevice(door.store, host, [card]);
    await door.ask("POST", `/v2/devices/${device.id}/disable`, admin);
    await agentReports(door.store, card, { health: { state: "degraded" } });
    await agentReports(door.store, card, { health: { state: "ok" } });
    expect((await current()).enabled).toBe(false);
    expect(isOfferable(await current())).toBe(false);
    await door.ask("POST", `/v2/devices/${device.id}/enable`, admin);
    expect(isOfferable(await current())).toBe(true);
  });

  test.each(["", "x", null, 7, {}])(
    "7: %j as an instance is refused, and lists go on",
    async (to) => {
      const id = await request();
      const operations = bindOperations("cmp1", provider, to as never);
      const { status } = await door.ask("PATCH", requests, { ...nova, body: { [id]: operations } });
      expect([status, await stateOf(id)]).toEqual([400, "Initial"]);
      expect((await door.ask("GET", requests, admin)).status).toBe(200);
    },
  );

  test("8: an attribute that an operator gave is there after the next report", async () => {
    const body = { deployable_id: card.id, key: "k", value: "v" };
    const made = await door.ask<{ uuid: string }>("POST", "/v2/attributes", { ...admin, body });
    await agentReports(door.store, card, { health: { state: "degraded" } });
    const path = `/v2/attributes/${made.body.uuid}`;
    expect((await door.ask("GET", path, admin)).status).toBe(200);
  });

  test("9: every deployable has a resource class among its attributes", async () => {
    await addDeployable(door.store, host, "odd", { kind: "GPU", resourceClass: "PGPU" });
    const { body } = await door.ask<{ attributes: { value: string }[] }>(
      "GET",
      "/v2/attributes?key=rc",
      admin,
    );
    const classes = body.attributes.map(({ value }) => value);
    expect(new Set(classes)).toEqual(new Set(["CUSTOM_FPGA_INTEL_PF", "PGPU"]));
  });
});

describe("programming", () => {
  const patch = (image: string) => [
    { path: "/program", op: "replace", value: [{ image_uuid: image }] },
  ];

  test("API call blocks: a client need not wait for the write", async () => {
    const image = await addImageRow(door.store, "crypto");
    const asking = { ...admin, body: patch(image.id), headers: { prefer: "respond-async" } };
    const path = `/v2/deployables/${card.id}/program`;
    expect((await door.ask("PATCH", path, asking)).status).toBe(202);
  });

  test("bitstream_id and traits left stale: they are what the card says", async () => {
    const image = await addImageRow(door.store, "crypto");
    const asking = { ...admin, body: patch(image.id), headers: { prefer: "respond-async" } };
    const path = `/v2/deployables/${card.id}`;
    await door.ask("PATCH", `${path}/program`, asking);
    const before = await door.ask("GET", path, admin);
    expect(before.body["bitstream_id"]).toBeNull();
    await agentReports(door.store, card);
    const after = await door.ask("GET", path, admin);
    expect(after.body["bitstream_id"]).toBe(image.id);
    expect(after.body["attributes_list"]).toContain("CUSTOM_ACCELERATOR_CRYPTO");
  });

  test("two writers on one device: a newer program replaces the older, never beside it", async () => {
    const [one, two] = [
      await addImageRow(door.store, "one"),
      await addImageRow(door.store, "two", { sha256: "c".repeat(64) }),
    ];
    const path = `/v2/deployables/${card.id}/program`;
    for (const image of [one, two]) {
      const asking = { ...admin, body: patch(image.id), headers: { prefer: "respond-async" } };
      await door.ask("PATCH", path, asking);
    }
    const { imageGeneration, wish } = await current();
    expect([imageGeneration, wish.image?.id]).toEqual([card.imageGeneration + 2, two.id]);
  });
});

describe("the API itself", () => {
  test("scale: an instance's requests cost the same however many others there are", async () => {
    const id = await request();
    await bind(id);
    const counted = countingTable(door.store.table);
    const store = { ...door.store, table: counted };
    const parts = { ...door.parts, binding: { ...door.parts.binding, store } };
    const served = acceleratorFunction(parts);
    const event = {
      rawPath: requests,
      rawQueryString: `instance=${vm}`,
      headers: { host: "127.0.0.1", "x-roles": "member", "x-project-id": "p1" },
      requestContext: { http: { method: "GET" } },
    };
    const costOf = async () => {
      counted.reset();
      expect((await served(event, {} as never)).statusCode).toBe(200);
      return counted.roundTrips().calls;
    };
    const alone = await costOf();
    for (let n = 0; n < 200; n += 1) await addClaimRow(door.store, `other${n}`);
    expect(await costOf()).toBe(alone);
    expect(alone).toBeLessThanOrEqual(2);
  });

  test("the op of the first request decides for all: each is judged by its own", async () => {
    const [id, other] = [await request(), await request()];
    await bind(id);
    const body = {
      [id]: unbindOperations,
      [other]: [{ path: "/hostname", op: "add", value: "cmp1" }],
    };
    const { status, fault } = await door.ask("PATCH", requests, { ...nova, body });
    expect(status).toBe(400);
    expect(fault).toMatch(/Fields absent in patch device_rp_uuid,instance_uuid/);
    expect(await stateOf(id)).toBe("BindStarted");
  });

  test.each([
    ["PATCH", "/v2/accelerator_requests", {}],
    ["PATCH", "/v2/accelerator_requests", []],
    ["DELETE", "/v2/accelerator_requests", undefined],
    ["GET", "/v2/accelerator_requests?bind_state=foo", undefined],
    ["POST", "/v2/device_profiles", [{ name: "a", groups: { "resources:FPGA": 1 } }]],
    ["POST", "/v2/attributes", { key: "k", value: "v" }],
    ["PATCH", `/v2/deployables/${idOf("cmp1/port0")}/program`, []],
  ])("500 for the caller's mistake: %s %s %j is 400", async (method, path, body) => {
    const asking = { roles: "admin,service", ...(body === undefined ? {} : { body }) };
    expect((await door.ask(method, path, asking)).status).toBe(400);
  });

  test("enable finds another card: exactly the named one is changed", async () => {
    const other = await addHost(door.store, "cmp2");
    const far = await addDeployable(door.store, other, "port0");
    const device = await addDevice(door.store, host, [card]);
    await addDevice(door.store, other, [far]);
    await door.ask("POST", `/v2/devices/${device.id}/disable`, admin);
    expect((await current()).enabled).toBe(false);
    expect((await readDeployable(door.store, other.id, far.id))?.enabled).toBe(true);
  });

  test("LP 2158996: attributes need no internal integer", async () => {
    const body = { deployable_id: card.id, key: "k", value: "v" };
    expect((await door.ask("POST", "/v2/attributes", { ...admin, body })).status).toBe(201);
  });

  test('"updated_at": "None": what never changed says null', async () => {
    const { body } = await door.ask<{ device_profile: { updated_at: unknown } }>(
      "GET",
      "/v2/device_profiles/dp1",
      { version: "2.2" },
    );
    expect(body.device_profile.updated_at).toBeNull();
  });
});
