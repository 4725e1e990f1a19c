import { afterAll, beforeAll, expect, test } from "vitest";
import { providerId } from "#protocol/uuid";
import { claimsOfInstance } from "#store/claims";
import { importSite } from "../../functions/openstack/import/run.ts";
import { syncHost } from "../../functions/openstack/placement-sync.ts";
import { handle, uuid } from "../domain/builders.ts";
import { cloudOf } from "../functions/nova.ts";
import { children, newWorld, putHost, putRoot } from "../placement/kit.ts";
import { type Placement, startPlacement } from "./services/placement.ts";

let placement: Placement | undefined;

beforeAll(async () => {
  placement = await startPlacement();
});

afterAll(async () => {
  await placement?.stop();
});

const instance = uuid(88);
const address = "0000:10:00.0";

/** A Cyborg with one profile and one bound request, on this provider of this host. */
function cyborgWith(hostname: string, provider: string) {
  const info = { domain: "0000", bus: "10", device: "0", function: "0" };
  const bodies: Readonly<Record<string, unknown>> = {
    "": {},
    "/device_profiles": {
      device_profiles: [{ uuid: uuid(5), name: "dp1", groups: [{ "resources:FPGA": "1" }] }],
    },
    "/accelerator_requests": {
      arqs: [
        {
          uuid: uuid(6),
          state: "Bound",
          device_profile_name: "dp1",
          device_profile_group_id: 0,
          hostname,
          device_rp_uuid: provider,
          instance_uuid: instance,
          project_id: uuid(7),
          attach_handle_type: "PCI",
          attach_handle_info: info,
        },
      ],
    },
    "/deployables": { deployables: [{ uuid: uuid(9), name: hostname, rp_uuid: provider }] },
  };
  return cloudOf(async ({ path }) => {
    const text = JSON.stringify(bodies[path]);
    return await Promise.resolve({ status: 200, headers: new Headers(), text });
  });
}

test("a site of Cyborg's is taken over with the providers and allocations it has", async () => {
  if (placement === undefined) throw new Error("Placement did not start");
  const world = newWorld({ url: placement.url, fetch: globalThis.fetch }, "cyborg");
  const { admin, store, parts } = world;
  const root = await putRoot(world, "cmp1");
  const provider = providerId(`cmp1_${address}`);
  const path = `/resource_providers/${provider}`;
  const made = { uuid: provider, name: `cmp1_${address}`, parent_provider_uuid: root };
  await admin("POST", "/resource_providers", made);
  await admin("PUT", `${path}/inventories`, {
    resource_provider_generation: 0,
    inventories: { FPGA: { total: 1, max_unit: 1 } },
  });
  await admin("PUT", `/allocations/${instance}`, {
    allocations: { [provider]: { resources: { FPGA: 1 } } },
    consumer_generation: null,
    consumer_type: "INSTANCE",
    project_id: uuid(7),
    user_id: uuid(8),
  });
  const handles = { pf: handle({ address, state: "releasing" }) };
  const { id } = await putHost(world, 1, [{ handles, address, clean: false }], "cmp1");
  const cyborg = cyborgWith("cmp1", provider);
  const importing = { store, cyborg, shape: "cyborg", defaultQuota: 8 } as const;
  const { items } = await importSite(importing, { dryRun: false });
  expect(items.map(({ kind, state }) => [kind, state])).toEqual([
    ["profile", "taken"],
    ["request", "taken"],
  ]);
  expect(await syncHost(parts, id)).toBe("written");
  const all = await children(world, root);
  expect(all.map((one) => one.uuid)).toEqual([provider]);
  expect(all[0]?.inventories["FPGA"]).toMatchObject({ total: 1, reserved: 0 });
  const { allocations } = (await admin("GET", `/allocations/${instance}`)) as {
    readonly allocations: Readonly<Record<string, object>>;
  };
  expect(Object.keys(allocations)).toEqual([provider]);
  expect(await claimsOfInstance(store, instance)).toMatchObject([{ state: "Bound", provider }]);
});
