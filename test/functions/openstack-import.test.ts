import { beforeEach, describe, expect, test } from "vitest";
import type { Host } from "#domain/host";
import type { OpenStack, OpenStackReply } from "#openstack/cloud";
import type { CyborgProfile, CyborgRequest } from "#openstack/cyborg";
import type { OpenstackImportView } from "#protocol/http/openstack";
import { providerId } from "#protocol/uuid";
import { isProfileUsed } from "#store/arqs";
import { claimsOfInstance, readClaim } from "#store/claims";
import { readDeployable } from "#store/deployables";
import { readProfile } from "#store/named";
import { listQuotas } from "#store/quotas";
import { releaseClaim } from "#store/release";
import { openstackFunction } from "../../functions/http/openstack.ts";
import { type Importing, importSite } from "../../functions/openstack/import/run.ts";
import { refused } from "../http/event.ts";
import {
  addDeployable,
  addHost,
  handleOf,
  heldHandle,
  idOf,
  type TestStore,
  testStore,
  withoutCloud,
} from "../http/rows.ts";
import { cloudOf } from "./nova.ts";

let store: TestStore;
let host: Host;
/** What Cyborg answers, in the forms of cyborg-wire.txt. */
let profiles: CyborgProfile[];
let requests: CyborgRequest[];
let deployables: { uuid: string; name: string; rp_uuid: string }[];
let broken: Map<string, Partial<OpenStackReply>>;

const instance = idOf("vm");
const project = idOf("project");

beforeEach(async () => {
  store = testStore();
  host = await addHost(store, "cmp1");
  broken = new Map();
  profiles = [
    {
      uuid: idOf("dp1"),
      name: "dp1",
      description: null,
      groups: [{ "resources:FPGA": "1", "trait:CUSTOM_FPGA_INTEL": "required" }],
    },
  ];
  requests = [requestOf("arq")];
  deployables = [];
});

/** A request as Cyborg shows it once it is bound. */
function requestOf(name: string, facts: Partial<CyborgRequest> = {}): CyborgRequest {
  return {
    uuid: idOf(name),
    state: "Bound",
    device_profile_name: "dp1",
    device_profile_group_id: 0,
    hostname: "cmp1",
    device_rp_uuid: idOf("rp"),
    instance_uuid: instance,
    project_id: project,
    attach_handle_type: "PCI",
    attach_handle_info: { bus: "3b", device: "0", domain: "0000", function: "0" },
    ...facts,
  };
}

function cyborg(): OpenStack {
  const bodies: Readonly<Record<string, () => unknown>> = {
    "": () => ({ id: "v2.0" }),
    "/device_profiles": () => ({ device_profiles: profiles }),
    "/accelerator_requests": () => ({ arqs: requests }),
    "/deployables": () => ({ deployables }),
  };
  return cloudOf(async ({ path }) => {
    const text = JSON.stringify(bodies[path]?.());
    return { status: 200, headers: new Headers(), text, ...broken.get(path) };
  });
}

async function run(dryRun = false, facts: Partial<Importing> = {}): Promise<OpenstackImportView> {
  const importing = { store, cyborg: cyborg(), shape: "cyborg", defaultQuota: 8 } as const;
  return await importSite({ ...importing, ...facts }, { dryRun });
}

async function statesOf(kind: string): Promise<readonly string[]> {
  const { items } = await run();
  return items.filter((item) => item.kind === kind).map(({ state }) => state);
}

const cardNow = async () => await readDeployable(store, host.id, idOf("cmp1/port0"));

describe("taking over a running Cyborg", () => {
  test("takes profiles and bound requests with their ids, and the handles they have", async () => {
    const card = await addDeployable(store, host, "port0", {
      imageGeneration: 5,
      wish: { scrub: "erase" },
    });
    const { items } = await run();
    expect(items.map(({ kind, state }) => [kind, state])).toEqual([
      ["profile", "taken"],
      ["request", "taken"],
    ]);
    expect(await readProfile(store, "dp1")).toMatchObject({
      id: idOf("dp1"),
      groups: profiles[0]?.groups,
    });
    const [claim] = await claimsOfInstance(store, instance);
    expect(claim).toMatchObject({
      id: idOf("arq"),
      state: "Bound",
      project,
      instance,
      provider: idOf("rp"),
      hostName: "cmp1",
      profile: "dp1",
      resourceClass: "FPGA",
      asks: { required: ["CUSTOM_FPGA_INTEL"], forbidden: [] },
      deployable: card.id,
      handle: "pf",
      fence: 2,
      pciAddress: "0000:3b:00.0",
    });
    const held = await cardNow();
    expect(held?.handles["pf"]).toMatchObject({
      state: "claimed",
      fence: 2,
      holder: { claim: idOf("arq"), project, instance, binding: false },
    });
    // The scrub of a card just found would fall upon the guest that has it.
    expect(held?.wish).toEqual({});
    expect(await isProfileUsed(store, "dp1")).toBe(true);
    const { items: quotas } = await listQuotas(store, project, {});
    expect(quotas).toMatchObject([{ resourceClass: "FPGA", limit: 8, left: 7 }]);
  });

  test("may run again, and only takes what is new", async () => {
    await addDeployable(store, host, "port0");
    await run();
    const handles = { pf: handleOf({ address: "0000:3c:00.0" }) };
    await addDeployable(store, host, "port1", { handles });
    requests.push(
      requestOf("second", {
        attach_handle_info: { domain: "0", bus: "3c", device: "00", function: "0" },
      }),
    );
    const { items } = await run();
    expect(items.map(({ state }) => state)).toEqual(["there", "there", "taken"]);
  });

  test("says in a dry run exactly what it would do, and does nothing", async () => {
    await addDeployable(store, host, "port0");
    const planned = await run(true);
    expect(await readClaim(store, idOf("arq"))).toBeUndefined();
    expect((await cardNow())?.handles["pf"]?.state).toBe("free");
    const done = await run();
    const said = ({ items }: OpenstackImportView) => items.map(({ id, text }) => [id, text]);
    expect(said(planned)).toEqual(said(done));
    expect(planned.items.map(({ state }) => state)).toEqual(["planned", "planned"]);
  });

  test("takes from a project no claim that is there, whatever its limit", async () => {
    await addDeployable(store, host, "port0");
    await run(false, { defaultQuota: 0 });
    const { items } = await listQuotas(store, project, {});
    expect(items).toMatchObject([{ limit: 0, left: -1 }]);
    const claim = await readClaim(store, idOf("arq"));
    if (claim === undefined) throw new Error("it was taken");
    await releaseClaim(store, claim);
    expect((await listQuotas(store, project, {})).items).toMatchObject([{ limit: 0, left: 0 }]);
  });

  test("leaves requests that are not bound to Nova, which makes new ones", async () => {
    requests = ["Initial", "Unbound", "BindFailed", "BindStarted"].map((state) =>
      requestOf(state, { state }),
    );
    expect(await statesOf("request")).toEqual(["left", "left", "left", "left"]);
  });

  test("names providers of Cyborg that ours will not be", async () => {
    await addDeployable(store, host, "port0");
    const name = "cmp1_0000:ff:00.0";
    deployables = [{ uuid: idOf("d"), name, rp_uuid: providerId(name) }];
    const [left] = (await run()).items.filter(({ kind }) => kind === "provider");
    expect(left).toMatchObject({ state: "left", id: providerId(name) });
    expect(left?.text).toContain("openstack resource provider delete");
  });
});

describe("what needs a decision is told, and nothing of it is done", () => {
  test.each<[string, Partial<CyborgRequest>, RegExp]>([
    ["a host that has not joined", { hostname: "cmp9" }, /no host cmp9/],
    [
      "an address nobody has",
      { attach_handle_info: { domain: "0", bus: "ff", device: "0", function: "0" } },
      /has no function at 0000:ff:00.0/,
    ],
    ["a handle of another kind", { attach_handle_type: "MDEV" }, /no PCI function: MDEV/],
    ["an address that is none", { attach_handle_info: { bus: 3 } }, /no PCI function/],
    ["a request without a project", { project_id: null }, /has no project/],
  ])("%s", async (_, facts, why) => {
    await addDeployable(store, host, "port0");
    requests = [requestOf("arq", facts)];
    const [item] = (await run()).items.filter(({ kind }) => kind === "request");
    expect(item).toMatchObject({ state: "conflict", text: expect.stringMatching(why) as string });
    expect((await cardNow())?.handles["pf"]?.state).toBe("free");
  });

  test("a handle that a claim of ours holds", async () => {
    const handles = { pf: heldHandle("p1", idOf("other")) };
    await addDeployable(store, host, "port0", { handles });
    expect(await statesOf("request")).toEqual(["conflict"]);
  });

  test("two requests of one handle: the first is taken", async () => {
    await addDeployable(store, host, "port0");
    requests = [requestOf("arq"), requestOf("twin")];
    expect(await statesOf("request")).toEqual(["taken", "conflict"]);
  });

  test("a profile whose name or uuid is another's here, and groups nobody can serve", async () => {
    await run();
    profiles = [
      { uuid: idOf("x"), name: "dp1", groups: [{ "resources:FPGA": "2" }] },
      { uuid: idOf("dp1"), name: "dp2", groups: [{ "resources:FPGA": "1" }] },
      { uuid: idOf("dp3"), name: "dp3", groups: [{ "accel:bitstream_id": idOf("i") }] },
      { uuid: idOf("dp4"), name: "dp4", groups: [] },
    ];
    expect(await statesOf("profile")).toEqual(["conflict", "conflict", "conflict", "conflict"]);
  });
});

describe("there is nothing to take over from", () => {
  test("where no cloud is configured, or none has an accelerator service", async () => {
    const served = openstackFunction(withoutCloud(store));
    const problem = await refused(served, "importOpenstack", { roles: "admin", body: {} });
    expect(problem).toMatchObject({ code: "WRONG_STATE" });
    const without = { ...cyborg(), endpoint: async () => undefined };
    await expect(run(false, { cyborg: without })).rejects.toMatchObject({ code: "WRONG_STATE" });
  });

  test("where the endpoint is this service", async () => {
    broken.set("", { headers: new Headers({ "x-gatehouse-version": "0.1.0" }) });
    await expect(run()).rejects.toMatchObject({ code: "WRONG_STATE" });
  });

  test.each([
    ["refuses", { status: 403 }],
    ["does not answer as Cyborg does", { text: "<html>" }],
    ["has another form", { text: JSON.stringify({ arqs: [{}] }) }],
  ])("where Cyborg %s", async (_, answer) => {
    broken.set("/accelerator_requests", answer);
    await expect(run()).rejects.toMatchObject({ code: "OPENSTACK_UNAVAILABLE" });
    expect(await readClaim(store, idOf("arq"))).toBeUndefined();
  });
});

test("only an admin takes over", async () => {
  const served = openstackFunction(withoutCloud(store));
  expect(await refused(served, "importOpenstack", { body: {} })).toMatchObject({
    code: "FORBIDDEN",
  });
  const asking = { roles: "admin", body: { dryRun: "yes" } };
  expect(await refused(served, "importOpenstack", asking)).toMatchObject({ field: "dryRun" });
});
