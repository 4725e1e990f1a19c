import { beforeEach, describe, expect, test } from "vitest";
import type { Deployable } from "#domain/deployable";
import type { Host } from "#domain/host";
import { readClaim } from "#store/claims";
import { changeDeployable, readDeployable } from "#store/deployables";
import { quotaKey } from "#store/keys";
import { setQuota } from "#store/quotas";
import { addClaimRow, addDeployable, addHost, addImageRow, handleOf, idOf } from "../http/rows.ts";
import {
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

const path = "/accelerator/v2/accelerator_requests";
const pf = "CUSTOM_FPGA_INTEL_PF";
const vm = idOf("vm");

let door: Door;
let host: Host;
let card: Deployable;
let provider: string;

beforeEach(async () => {
  await prepare();
});

async function prepare(settings: Parameters<typeof openDoor>[0] = {}): Promise<void> {
  door = openDoor(settings);
  host = await addHost(door.store, "cmp1");
  card = await addDeployable(door.store, host, "port0");
  provider = await providerOf(door, host, card);
  await profile("dp1", [{ [`resources:${pf}`]: "1" }]);
}

interface ArqBody {
  readonly uuid: string;
  readonly state: string;
  readonly device_profile_group_id: number;
  readonly hostname: string | null;
  readonly device_rp_uuid: string | null;
  readonly instance_uuid: string | null;
  readonly project_id: string;
  readonly attach_handle_type: string;
  readonly attach_handle_uuid: string | null;
  readonly attach_handle_info: object;
  readonly updated_at: string | null;
}

async function profile(name: string, groups: readonly object[]): Promise<void> {
  const body = [{ name, groups }];
  const { status } = await door.ask("POST", "/v2/device_profiles", { ...admin, body });
  if (status !== 201) throw new Error("no profile was made");
}

async function create(name = "dp1", asking = member) {
  const body = { device_profile_name: name };
  return await door.ask<{ arqs: ArqBody[] }>("POST", path, { ...asking, body });
}

async function created(name = "dp1", asking = member): Promise<readonly ArqBody[]> {
  const { body } = await create(name, asking);
  return body.arqs;
}

async function one(): Promise<string> {
  const [arq] = await created();
  return arq?.uuid ?? "";
}

async function list(query: string, asking = member) {
  return await door.ask<{ arqs: ArqBody[] }>("GET", path + query, asking);
}

async function get(id: string, asking = member) {
  return await door.ask<ArqBody>("GET", `${path}/${id}`, asking);
}

const bind = (to: string = vm, behind: string = provider) => bindOperations("cmp1", behind, to);

async function patch(body: Readonly<Record<string, unknown>>, asking: object = nova) {
  return await door.ask("PATCH", path, { ...asking, body });
}

/** One request that is Bound to the guest. */
async function bound(): Promise<string> {
  const id = await one();
  await patch({ [id]: bind() });
  await agentReports(door.store, card, { clean: false });
  return id;
}

async function stateOf(id: string): Promise<string | undefined> {
  return (await readClaim(door.store, id))?.state;
}

describe("creating", () => {
  test("makes one request per accelerator, each of its group", async () => {
    await profile("many", [
      { [`resources:${pf}`]: "2", "resources:CUSTOM_NIC": "1" },
      { "resources:FPGA": "1" },
    ]);
    const arqs = await created("many");
    expect(arqs.map((arq) => arq.device_profile_group_id)).toEqual([0, 0, 0, 1]);
    expect(new Set(arqs.map(({ uuid }) => uuid)).size).toBe(4);
    expect(arqs[0]).toMatchObject({
      state: "Initial",
      project_id: "p1",
      attach_handle_type: "",
      attach_handle_uuid: null,
      attach_handle_info: {},
      updated_at: null,
    });
  });

  test("makes one request per unit also for cards whose management function stays in the host", async () => {
    const group = { "resources:FPGA": "2", "trait:CUSTOM_FPGA_XILINX": "required" };
    await profile("xilinx", [group]);
    expect(await created("xilinx")).toHaveLength(2);
  });

  test("remembers what the profile asks for", async () => {
    const image = idOf("image");
    const group = {
      [`resources:${pf}`]: "1",
      "trait:CUSTOM_A": "required",
      "trait:CUSTOM_B": "forbidden",
      "accel:bitstream_id": image.toUpperCase(),
    };
    await profile("asking", [group]);
    const [arq] = await created("asking");
    const claim = await readClaim(door.store, arq?.uuid ?? "");
    expect(claim?.asks).toMatchObject({ required: ["CUSTOM_A"], forbidden: ["CUSTOM_B"], image });
  });

  test("of more than one transaction holds is refused", async () => {
    await profile("huge", [{ [`resources:${pf}`]: "9999", "resources:CUSTOM_NIC": "1" }]);
    const { status, fault } = await create("huge");
    expect(status).toBe(400);
    expect(fault).toMatch(/asks for 10000 accelerators, at most 32/);
  });

  test("is refused over quota, with what is left, and leaves nothing", async () => {
    await setQuota(door.store, { project: "p1", resourceClass: pf, limit: 1 });
    await profile("two", [{ [`resources:${pf}`]: "2" }]);
    const { status, fault } = await create("two");
    expect(status).toBe(403);
    expect(fault).toMatch(/project p1 has 1 of 1 CUSTOM_FPGA_INTEL_PF left, 2 asked for/);
    expect((await list("")).body.arqs).toEqual([]);
  });

  test.each([
    [{}, 400, "device_profile_name is needed."],
    [{ device_profile_name: null }, 400, "device_profile_name is needed."],
    [[], 400, "device_profile_name is needed."],
    [{ device_profile_name: "" }, 404, "Device Profile not found with name="],
    [{ device_profile_name: "none" }, 404, "Device Profile not found with name=none"],
    [{ device_profile_name: "a#b" }, 404, "Device Profile not found with name=a#b"],
  ])("by %j is refused with %i", async (body, status, told) => {
    const answer = await door.ask("POST", path, { ...member, body });
    expect([answer.status, answer.fault]).toEqual([status, told]);
  });

  test("ignores what else the client sends", async () => {
    const body = { device_profile_name: "dp1", device_profile_group_id: null, image_uuid: "x" };
    expect((await door.ask("POST", path, { ...member, body })).status).toBe(201);
  });
});

describe("binding", () => {
  test("ends Bound with the handle's address in parts, once the agent has proven it", async () => {
    const id = await one();
    door.store.pass(1);
    const { status, text, headers } = await patch({ [id]: bind() });
    expect([status, text]).toEqual([202, ""]);
    expect(headers).not.toHaveProperty("content-type");
    expect((await get(id)).body).toMatchObject({ state: "BindStarted", attach_handle_type: "" });
    await agentReports(door.store, card, { clean: false });
    const { body } = await get(id);
    expect(body).toMatchObject({
      state: "Bound",
      hostname: "cmp1",
      device_rp_uuid: provider,
      instance_uuid: vm,
      attach_handle_type: "PCI",
      attach_handle_info: { domain: "0000", bus: "3b", device: "00", function: "0" },
    });
    expect(Object.keys(body.attach_handle_info)).toEqual(["domain", "bus", "device", "function"]);
    expect(body.attach_handle_uuid).toMatch(/^[0-9a-f-]{36}$/);
    expect(body.updated_at).not.toBeNull();
    expect((await get(id)).body.attach_handle_uuid).toBe(body.attach_handle_uuid);
  });

  test("shows the address that the handle has after the cards were numbered anew", async () => {
    const id = await bound();
    await changeDeployable(door.store, card, (one) => {
      const { pf: handle = handleOf() } = one.handles;
      const handles = { pf: { ...handle, address: "0000:af:00.1" } };
      return { ...one, handles, revision: one.revision + 1 };
    });
    const now = { domain: "0000", bus: "af", device: "00", function: "1" };
    expect((await get(id)).body.attach_handle_info).toEqual(now);
    expect((await list(`?instance=${vm}`)).body.arqs[0]?.attach_handle_info).toEqual(now);
  });

  test("has the image programmed that the profile names", async () => {
    const image = await addImageRow(door.store, "crypto");
    await profile("crypto", [{ [`resources:${pf}`]: "1", "accel:bitstream_id": image.id }]);
    const [arq] = await created("crypto");
    await patch({ [arq?.uuid ?? ""]: bind() });
    expect((await readDeployable(door.store, host.id, card.id))?.wish.image?.id).toBe(image.id);
    await agentReports(door.store, card, { clean: false });
    expect((await get(arq?.uuid ?? "")).body.state).toBe("Bound");
  });

  test("works by the request's own path as well", async () => {
    const id = await one();
    const body = { [id]: bind() };
    const { status } = await door.ask("PATCH", `${path}/${id}`, { ...nova, body });
    expect([status, await stateOf(id)]).toEqual([202, "BindStarted"]);
    const other = await one();
    const wrong = await door.ask("PATCH", `${path}/${other}`, { ...nova, body });
    expect(wrong.status).toBe(400);
  });

  test("takes all requests of a guest at once", async () => {
    await addDeployable(door.store, host, "port1");
    const [first, second] = [await one(), await one()];
    expect((await patch({ [first]: bind(), [second]: bind() })).status).toBe(202);
    const claims = [await readClaim(door.store, first), await readClaim(door.store, second)];
    expect(new Set(claims.map((claim) => claim?.deployable)).size).toBe(2);
  });

  test("fails at once, and says so, when nothing is free", async () => {
    const [first, second] = [await one(), await one()];
    const { status, fault } = await patch({ [first]: bind(), [second]: bind() });
    expect(status).toBe(409);
    expect(fault).toMatch(/could not be bound.*no card behind provider .* is free/);
    const states = (await list(`?instance=${vm}`, member)).body.arqs.map(({ state }) => state);
    expect(states.toSorted()).toEqual(["BindFailed", "BindStarted"]);
  });

  test("that failed is no list of requests to the service that starts the server", async () => {
    const [first, second] = [await one(), await one()];
    await patch({ [first]: bind(), [second]: bind() });
    expect((await list(`?instance=${vm}`, nova)).status).toBe(409);
    expect((await list(`?instance=${vm}`, member)).status).toBe(200);
    expect((await list(`?instance=${vm}&bind_state=resolved`, nova)).status).toBe(423);
  });

  test("that misses its deadline has failed for the first who looks", async () => {
    const id = await one();
    await patch({ [id]: bind() });
    door.store.pass(180_000);
    const { status, body } = await list(`?instance=${vm}&bind_state=resolved`);
    expect([status, body.arqs[0]?.state]).toEqual([200, "BindFailed"]);
    expect((await get(id)).body).toMatchObject({ hostname: "cmp1", attach_handle_type: "" });
  });

  test("gives the request to the project that an admin names, with its quota", async () => {
    const id = await one();
    const body = { [id]: [...bind(), { path: "/project_id", op: "add", value: "p2" }] };
    const asking = { roles: "admin,service", version: "accelerator 2.1" };
    expect((await patch(body, asking)).status).toBe(202);
    expect((await get(id, admin)).body).toMatchObject({ project_id: "p2", state: "BindStarted" });
    expect((await get(id)).status).toBe(404);
    const left = async (project: string) =>
      (await door.store.table.get(quotaKey(project, pf)))?.["left"];
    expect([await left("p1"), await left("p2")]).toEqual([64, 63]);
  });

  test("to a project that has no quota left changes nothing", async () => {
    await setQuota(door.store, { project: "p2", resourceClass: pf, limit: 0 });
    const id = await one();
    const body = { [id]: [...bind(), { path: "/project_id", op: "add", value: "p2" }] };
    const asking = { roles: "admin,service", version: "accelerator 2.1" };
    expect((await patch(body, asking)).status).toBe(403);
    expect((await get(id)).body).toMatchObject({ project_id: "p1", state: "Initial" });
  });

  test("can be done again after an unbind", async () => {
    const id = await bound();
    expect((await patch({ [id]: unbindOperations })).status).toBe(202);
    expect((await get(id)).body).toMatchObject({
      state: "Unbound",
      hostname: null,
      device_rp_uuid: null,
      instance_uuid: null,
      project_id: "p1",
      attach_handle_type: "",
    });
    expect((await list(`?instance=${vm}`)).body.arqs).toEqual([]);
    await agentReports(door.store, card);
    expect((await patch({ [id]: bind(idOf("vm2")) })).status).toBe(202);
    await agentReports(door.store, card, { clean: false });
    expect(await stateOf(id)).toBe("Bound");
  });

  test("and unbinding go in one patch, each request by its own operations", async () => {
    const old = await bound();
    await addDeployable(door.store, host, "port1");
    const fresh = await one();
    const body = { [fresh]: bind(idOf("vm2")), [old]: unbindOperations };
    expect((await patch(body)).status).toBe(202);
    expect([await stateOf(old), await stateOf(fresh)]).toEqual(["Unbound", "BindStarted"]);
  });
});

describe("a patch that is refused leaves every request as it was", () => {
  test.each<[string, (id: string) => unknown, number, RegExp]>([
    ["no object", () => [], 400, /must be an object/],
    ["nobody", () => ({}), 400, /No ARQ is named/],
    ["a bad uuid", () => ({ x: bind() }), 400, /Expected a uuid but received x/],
    ["no list", (id) => ({ [id]: {} }), 400, /needs a list of operations/],
    ["no operation", (id) => ({ [id]: [] }), 400, /Every op must be add or remove/],
    ["no objects", (id) => ({ [id]: ["x"] }), 400, /must be an object/],
    ["no op", (id) => ({ [id]: [{ path: "/hostname" }] }), 400, /needs path and op/],
    [
      "another op",
      (id) => ({ [id]: [{ path: "/hostname", op: "replace", value: "x" }] }),
      400,
      /Every op must be add or remove/,
    ],
    [
      "two ops for one request",
      (id) => ({ [id]: [...bind(), { path: "/hostname", op: "remove" }] }),
      400,
      /Every op must be add or remove/,
    ],
    [
      "an unknown path",
      (id) => ({ [id]: [...bind(), { path: "/foo", op: "add", value: "x" }] }),
      400,
      /^Couldn't apply patch\. Reason: Invalid path in patch \/foo$/,
    ],
    [
      "too few fields",
      (id) => ({ [id]: [{ path: "/hostname", op: "add", value: "cmp1" }] }),
      400,
      /^Couldn't apply patch\. Reason: Fields absent in patch device_rp_uuid,instance_uuid$/,
    ],
    [
      "a host that is no text",
      (id) => ({ [id]: bindOperations(7 as never, provider, vm) }),
      400,
      /hostname/,
    ],
    [
      "an unknown host",
      (id) => ({ [id]: bindOperations("cmp9", provider, vm) }),
      404,
      /Host not found with hostname=cmp9/,
    ],
    [
      "another card's class",
      (id) => ({ [id]: bind(vm, idOf("vf")) }),
      404,
      /resource provider uuid/,
    ],
    [
      "a project, before 2.1",
      (id) => ({ [id]: [...bind(), { path: "/project_id", op: "add", value: "p2" }] }),
      406,
      /minimal required API version should be 2\.1/,
    ],
  ])("for %s", async (_why, body, status, told) => {
    const id = await one();
    const other = await one();
    const sound = { [other]: bind(idOf("vm2")) };
    const given = body(id);
    const isMap = typeof given === "object" && given !== null && Object.keys(given).length > 0;
    const whole = isMap && !Array.isArray(given) ? { ...sound, ...given } : given;
    const answer = await door.ask("PATCH", path, { ...nova, body: whole });
    expect(answer.status).toBe(status);
    expect(answer.fault).toMatch(told);
    expect([await stateOf(id), await stateOf(other)]).toEqual(["Initial", "Initial"]);
  });

  test("for a provider whose class is not the request's", async () => {
    const vf = await addDeployable(door.store, host, "vf0", {
      resourceClass: "CUSTOM_FPGA_INTEL_VF",
      handles: { vf: handleOf({ type: "VF" }) },
    });
    const id = await one();
    const other = await providerOf(door, host, vf);
    const { status, fault } = await patch({ [id]: bind(vm, other) });
    expect([status, await stateOf(id)]).toEqual([400, "Initial"]);
    expect(fault).toMatch(/is for CUSTOM_FPGA_INTEL_PF, .* has CUSTOM_FPGA_INTEL_VF/);
  });

  test("for a project that is named by somebody who is no admin", async () => {
    const id = await one();
    const body = { [id]: [...bind(), { path: "/project_id", op: "add", value: "p2" }] };
    const { status } = await patch(body, { ...nova, version: "accelerator 2.1" });
    expect([status, await stateOf(id)]).toEqual([403, "Initial"]);
  });

  test("for a state from which it cannot go", async () => {
    const id = await bound();
    const again = await patch({ [id]: bind(idOf("vm2")) });
    expect([again.status, again.fault]).toEqual([
      409,
      `Bad state: Bound for ARQ: ${id}. Expected state(s): ['Initial', 'Unbound']`,
    ]);
    await patch({ [id]: unbindOperations });
    const twice = await patch({ [id]: unbindOperations });
    expect([twice.status, twice.fault]).toEqual([
      409,
      `Bad state: Unbound for ARQ: ${id}. Expected state(s): ['Initial', 'BindStarted', 'Bound', 'BindFailed']`,
    ]);
  });

  test("for more requests than one transaction holds", async () => {
    const body = Object.fromEntries(
      Array.from({ length: 33 }, (_, n) => [idOf(`arq${n}`), bind()] as const),
    );
    const { status, fault } = await patch(body);
    expect([status, fault]).toEqual([
      400,
      "Couldn't apply patch. Reason: At most 32 ARQs can be patched at once",
    ]);
  });

  test("for one request under two spellings of its uuid", async () => {
    const id = await one();
    const { status } = await patch({ [id]: bind(), [id.toUpperCase()]: unbindOperations });
    expect([status, await stateOf(id)]).toEqual([400, "Initial"]);
  });
});

describe("reading", () => {
  test("an instance's requests gives an empty list where there are none", async () => {
    const { status, body } = await list(`?instance=${vm}`);
    expect([status, body]).toEqual([200, { arqs: [] }]);
  });

  test.each(["x", "", "506220bc"])("refuses %j as an instance", async (text) => {
    expect((await list(`?instance=${text}`)).status).toBe(400);
  });

  test("what is resolved is 423 while one of the instance is not", async () => {
    await addDeployable(door.store, host, "port1");
    const [first, second] = [await one(), await one()];
    await patch({ [first]: bind(), [second]: bind() });
    await agentReports(door.store, card, { clean: false });
    const early = await list(`?instance=${vm}&bind_state=resolved`);
    expect([early.status, early.text]).toEqual([423, '{"error_message":"null"}']);
    const all = await list("?bind_state=resolved");
    expect(all.body.arqs).toHaveLength(1);
    await agentReports(door.store, { host: host.id, id: idOf("cmp1/port1") }, { clean: false });
    const late = await list(`?instance=${vm}&bind_state=resolved`);
    expect(late.body.arqs.map(({ state }) => state)).toEqual(["Bound", "Bound"]);
  });

  test("shows a project its own requests and an admin all", async () => {
    await created();
    await created("dp1", { ...member, project: "p2" });
    expect((await list("")).body.arqs).toHaveLength(1);
    expect((await list("", admin)).body.arqs).toHaveLength(2);
  });

  test("what is asked for by no uuid is refused, and what is not there is 404", async () => {
    expect((await get("x")).status).toBe(400);
    const { status, fault } = await get(idOf("none"));
    expect([status, fault]).toEqual([404, `ExtArq not found with uuid=${idOf("none")}`]);
  });

  test("shows a native claim too, whatever its instance is called", async () => {
    const claim = await addClaimRow(door.store, "native", { instance: "my guest" });
    const { body } = await get(claim.id);
    expect(body).toMatchObject({ state: "Bound", instance_uuid: null, hostname: null });
  });
});

test("a native claim for a guest is not the scheduler's: not listed by it, not ended with it", async () => {
  const { id } = await addClaimRow(door.store, "native", { instance: vm });
  expect((await list(`?instance=${vm}`)).body.arqs).toEqual([]);
  const arq = await bound();
  expect((await list(`?instance=${vm}`)).body.arqs.map(({ uuid }) => uuid)).toEqual([arq]);
  expect((await door.ask("DELETE", `${path}?instance=${vm}`, nova)).status).toBe(204);
  expect([await stateOf(arq), await stateOf(id)]).toEqual([undefined, "Bound"]);
});

describe("deleting", () => {
  test("by path and by list ends requests that are not bound", async () => {
    const [first, second, third] = [await one(), await one(), await one()];
    expect((await door.ask("DELETE", `${path}/${first}`, member)).status).toBe(204);
    const both = await door.ask("DELETE", `${path}?arqs=${second}%2C${third}`, member);
    expect([both.status, both.text]).toEqual([204, ""]);
    expect((await list("")).body.arqs).toEqual([]);
  });

  test("of a list ends the others when one is not there, and says which", async () => {
    const id = await one();
    const { status, fault } = await door.ask(
      "DELETE",
      `${path}?arqs=${idOf("none")},${id}`,
      member,
    );
    expect([status, fault]).toEqual([404, `ExtArq not found with uuid=${idOf("none")}`]);
    expect(await stateOf(id)).toBeUndefined();
  });

  test("of a list that has a bound one ends none of them", async () => {
    const [id, other] = [await bound(), await one()];
    const { status, fault } = await door.ask("DELETE", `${path}?arqs=${other},${id}`, member);
    expect(status).toBe(403);
    expect(fault).toBe(
      `ARQ ${id} is bound to instance ${vm}. Use the Compute API to manage instance accelerators.`,
    );
    expect([await stateOf(other), await stateOf(id)]).toEqual(["Initial", "Bound"]);
    expect((await door.ask("DELETE", `${path}?arqs=${id}`, nova)).status).toBe(204);
  });

  test("of an instance can be repeated, and takes the handle back", async () => {
    const id = await bound();
    for (let time = 0; time < 3; time += 1) {
      expect((await door.ask("DELETE", `${path}?instance=${vm}`, nova)).status).toBe(204);
    }
    expect(await stateOf(id)).toBeUndefined();
    const handle = (await readDeployable(door.store, host.id, card.id))?.handles["pf"];
    expect(handle).toMatchObject({ state: "releasing" });
    expect(handle?.holder).toBeUndefined();
  });

  test.each(["", `?arqs=${vm}&instance=${vm}`])("needs one argument: %j", async (query) => {
    const { status, fault } = await door.ask("DELETE", path + query, nova);
    expect([status, fault]).toEqual([
      400,
      "Exactly one of the arguments arqs and instance is needed.",
    ]);
  });

  test.each(["?arqs=", "?arqs=x", "?instance=x"])("refuses %s", async (query) => {
    expect((await door.ask("DELETE", path + query, nova)).status).toBe(400);
  });
});

describe("a service's token", () => {
  test("is needed to bind, unbind and delete what a guest uses", async () => {
    const id = await one();
    const told =
      "This operation requires a service token. Use the Compute API to manage instance accelerators.";
    for (const [method, target, body] of [
      ["PATCH", path, { [id]: bind() }],
      ["PATCH", `${path}/${id}`, { [id]: unbindOperations }],
      ["DELETE", `${path}?instance=${vm}`, undefined],
    ] as const) {
      for (const asking of [member, admin]) {
        const { status, fault } = await door.ask(method, target, { ...asking, body });
        expect([status, fault]).toEqual([403, told]);
      }
    }
  });

  test("is not asked for where the operator says so", async () => {
    await prepare({ serviceTokens: "optional" });
    const id = await one();
    expect((await patch({ [id]: bind() }, member)).status).toBe(202);
    expect((await door.ask("DELETE", `${path}?arqs=${id}`, member)).status).toBe(204);
  });
});
