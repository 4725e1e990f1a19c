import { beforeEach, describe, expect, test } from "vitest";
import { Fault } from "#domain/faults";
import type { OpenStack, OpenStackCall, OpenStackReply, Service } from "#openstack/cloud";
import { takeAllocation } from "#openstack/placement/allocations";
import type { OpenstackCheckView } from "#protocol/http/openstack";
import { oweEvent } from "#store/outbox";
import { openstackFunction } from "../../functions/http/openstack.ts";
import { type Checking, checkAll } from "../../functions/openstack/checks/all.ts";
import { lookAtAll, ok } from "../../functions/openstack/checks/check.ts";
import { syncHost } from "../../functions/openstack/placement-sync.ts";
import { ask, refused } from "../http/event.ts";
import { addClaimRow, addImageRow, idOf, testStore, withoutCloud } from "../http/rows.ts";
import { PlacementDouble } from "../placement/double.ts";
import { newWorld, putHost, putRoot, type World } from "../placement/kit.ts";

let world: World;
/** Answers of services beside Placement, by "METHOD service path"; an error is thrown. */
let answers: Map<string, Partial<OpenStackReply> | Error>;
let missing: Set<Service>;

beforeEach(() => {
  const double = new PlacementDouble();
  world = newWorld({ url: "http://placement", fetch: double.fetch });
  answers = new Map<string, Partial<OpenStackReply> | Error>([
    [
      "GET identity ",
      { headers: new Headers({ date: new Date(world.store.now()).toUTCString() }) },
    ],
    ["GET accelerator ", { headers: new Headers({ "x-gatehouse-version": "0.1.0" }) }],
    ["POST compute /os-server-external-events", { status: 400 }],
    ["GET image /v2/images", { text: JSON.stringify({ images: [] }) }],
  ]);
  missing = new Set();
});

function cloud(): OpenStack {
  const placement = world.parts.client;
  const answer = async (call: OpenStackCall): Promise<OpenStackReply> => {
    const found = answers.get(`${call.method} ${call.service} ${call.path}`);
    if (found instanceof Error) throw found;
    if (found === undefined) throw new Error(`not expected: ${call.service} ${call.path}`);
    return { status: 200, headers: new Headers(), text: "{}", ...found };
  };
  return {
    send: async (call) => {
      if (call.service !== "placement") return await answer(call);
      const { service: _service, headers: _headers, ...own } = call;
      return await placement.wire.ask(own);
    },
    open: async () => await Promise.reject(new Error("nothing is downloaded here")),
    endpoint: async (service) => (missing.has(service) ? undefined : `http://${service}`),
  };
}

async function checked(facts: Partial<Checking> = {}): Promise<OpenstackCheckView> {
  return await checkAll({ store: world.store, openstack: cloud(), glance: "off", ...facts });
}

/** What one check found. */
async function found(name: string, facts: Partial<Checking> = {}) {
  const { checks } = await checked(facts);
  return checks.filter((check) => check.name === name);
}

test("a well cloud is told to be well", async () => {
  await putRoot(world, "node-1");
  await putHost(world, 1, [{}]);
  const { state, checks } = await checked();
  expect(checks.filter((check) => !["ok", "skipped"].includes(check.state))).toEqual([]);
  expect(state).toBe("ok");
});

test("without a cloud the operator is told what to set", async () => {
  const { state, checks } = await checked({ openstack: undefined });
  expect([state, checks[0]?.name, checks[0]?.todo]).toEqual([
    "failed",
    "configuration",
    expect.stringContaining("OS_AUTH_URL"),
  ]);
});

describe("Keystone", () => {
  test.each([
    [10_000, ["ok"]],
    [40_000, ["ok", "warning"]],
    [400_000, ["ok", "failed"]],
  ])("with a clock %i ms away is told as %j", async (skew, states) => {
    const date = new Date(world.store.now() - skew).toUTCString();
    answers.set("GET identity ", { headers: new Headers({ date }) });
    expect((await found("keystone")).map(({ state }) => state)).toEqual(states);
  });

  test("that refuses or is away has failed, with the reason", async () => {
    answers.set("GET identity ", new Fault("OPENSTACK_UNAVAILABLE", "identity: ECONNREFUSED"));
    expect(await found("keystone")).toMatchObject([
      { state: "failed", text: "identity: ECONNREFUSED" },
    ]);
  });
});

describe("the catalog", () => {
  test("that lacks a service says which and how to add it", async () => {
    missing.add("compute");
    const lacking = (await found("catalog")).filter(({ state }) => state === "failed");
    expect(lacking).toMatchObject([{ text: expect.stringContaining("compute") as string }]);
    expect((await found("nova events"))[0]?.state).toBe("skipped");
  });

  test("needs no image service while Glance is off", async () => {
    missing.add("image");
    const states = (await found("catalog")).map(({ state }) => state);
    expect(states.filter((state) => state !== "ok")).toEqual(["skipped"]);
  });

  test("may still point at Cyborg", async () => {
    answers.set("GET accelerator ", {});
    expect(await found("accelerator endpoint")).toMatchObject([
      { state: "failed", text: "http://accelerator answers 200 and is not this service" },
    ]);
  });
});

test("a Nova that refuses our events has failed", async () => {
  answers.set("POST compute /os-server-external-events", { status: 403 });
  expect((await found("nova events"))[0]).toMatchObject({ state: "failed" });
});

describe("hosts", () => {
  test("that Placement knows by another name are pointed out", async () => {
    await putRoot(world, "Node-1.example.org");
    await putHost(world, 1, [{}]);
    const [about] = await found("hosts in placement");
    expect(about).toMatchObject({
      state: "failed",
      text: "Placement has no provider named node-1, but one named Node-1.example.org",
    });
  });

  test("that Placement does not know, and hosts that are not compared, are named", async () => {
    await putHost(world, 1, [{}]);
    await putRoot(world, "node-2");
    const { id } = await putHost(world, 2, [{}]);
    await syncHost(world.parts, id);
    world.store.clock.now += 600_000;
    const all = await found("hosts in placement");
    expect(all.map(({ state }) => state)).toEqual(["ok", "warning", "failed"]);
    expect(all[2]?.text).toContain("node-2");
  });
});

describe("allocations", () => {
  test("that nobody here knows are named, those of claims are not", async () => {
    const root = await putRoot(world, "node-1");
    const { id } = await putHost(world, 1, [{}, {}]);
    await syncHost(world.parts, id);
    const [provider] = (await world.parts.client.tree(root)).filter(
      ({ parent }) => parent !== null,
    );
    const native = idOf("native");
    await addClaimRow(world.store, "native");
    for (const consumer of [native, idOf("stranger")]) {
      const providers = { [provider?.uuid ?? ""]: { CUSTOM_FPGA_INTEL_PF: 1 } };
      const order = { consumer, project: "p1", user: "u1", providers };
      expect(await takeAllocation(world.parts.client.wire, order)).toBe("taken");
    }
    const [about] = await found("allocations without a claim");
    expect(about?.state).toBe("warning");
    expect(about?.text).toContain(idOf("stranger"));
    expect(about?.text).not.toContain(native);
  });

  test("that a bound request lacks are named by the request", async () => {
    await addClaimRow(world.store, "arq", { provider: idOf("rp"), instance: idOf("vm") });
    const [about] = await found("requests without an allocation");
    expect(about).toMatchObject({ state: "warning" });
    expect(about?.text).toContain(idOf("arq"));
  });
});

test("images of Glance that cannot be used are named with the reason", async () => {
  const images = ["good", "bad", "new"].map((name) => glanceImage(name));
  answers.set("GET image /v2/images", { text: JSON.stringify({ images }) });
  await addImageRow(world.store, "good");
  const reason = { code: "IMAGE_CORRUPT" as const, message: "sha512 differs" };
  await addImageRow(world.store, "bad", { state: "rejected", reason });
  const all = await found("glance images", { glance: "read" });
  expect(all.map(({ state, text }) => [state, text])).toEqual([
    ["ok", "1 of 3 images tagged FPGA can be used"],
    ["warning", `bad ${idOf("bad")} is rejected: sha512 differs`],
    ["warning", `new ${idOf("new")} is not here yet`],
  ]);
});

function glanceImage(name: string) {
  return {
    id: idOf(name),
    name,
    status: "active",
    visibility: "public",
    owner: idOf("project"),
    tags: ["FPGA"],
    created_at: "2026-01-01T00:00:00Z",
    updated_at: "2026-01-01T00:00:00Z",
    size: 10,
    checksum: null,
    os_hash_algo: null,
    os_hash_value: null,
  };
}

test("an event that is owed for minutes is worth a word", async () => {
  const claim = await addClaimRow(world.store, "arq", { provider: "rp", instance: idOf("vm") });
  await world.store.table.write(oweEvent(claim, "completed", world.store.now()));
  expect((await found("owed"))[0]).toMatchObject({ state: "ok" });
  world.store.clock.now += 241_000;
  const [about] = await found("owed");
  expect(about).toMatchObject({ state: "warning" });
  expect(about?.text).toContain("241 s old");
});

test("a check that fails holds up no other, a defect is no answer to the caller", async () => {
  const checks = await lookAtAll([
    { name: "one", look: async () => await Promise.reject(new Error("a defect")) },
    { name: "two", look: async () => await Promise.resolve([ok("well")]) },
  ]);
  expect(checks).toMatchObject([
    { name: "one", state: "failed", text: "a defect" },
    { name: "two", state: "ok" },
  ]);
});

test("only an admin may look", async () => {
  const served = openstackFunction(withoutCloud(testStore()));
  expect(await refused(served, "checkOpenstack")).toMatchObject({ code: "FORBIDDEN" });
  const view = await ask<OpenstackCheckView>(served, "checkOpenstack", { roles: "admin" });
  expect(view.state).toBe("failed");
});
