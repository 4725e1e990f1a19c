import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../../localstack/tour/steps.ts";
import { type Client, startClient } from "./clients/client.ts";
import { type Arq, type Gatehouse, startGatehouse } from "./gatehouse.ts";
import { admin } from "./services/catalog.ts";
import { serviceAccount } from "./services/keystone.ts";
import { keystoneSection } from "./services/oslo.ts";
import { type SharedStack, sharedStack } from "./shared.ts";

const intel = "CUSTOM_FPGA_INTEL_VF";

type Reply = { readonly value: unknown } | { readonly error: string; readonly message: string };

let stack: SharedStack;
let gatehouse: Gatehouse;
let client: Client<Reply>;
let folder: string;

beforeAll(async () => {
  stack = await sharedStack();
  gatehouse = await startGatehouse(stack);
  await gatehouse.addHost(stack.where.computeName, { dfl: 1 });
  await gatehouse.placed(intel, 2);
  folder = await mkdtemp(join(tmpdir(), "gatehouse-test-"));
  client = await novaClient();
});

afterAll(async () => {
  await client?.stop();
  await gatehouse?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Nova's class with the token of an admin's server and its own service token. */
async function novaClient(): Promise<Client<Reply>> {
  const config = join(folder, "nova.conf");
  const service = keystoneSection("service_user", stack.where.authUrl, serviceAccount("nova"));
  await writeFile(
    config,
    `[cyborg]
endpoint_override = ${gatehouse.cloud.url}/accelerator/v2
${service}send_service_user_token = true
`,
  );
  return startClient<Reply>("nova_client.py", [config, await stack.catalog.token(admin)]);
}

async function ask<Value>(method: string, ...args: readonly unknown[]): Promise<Value> {
  const reply = await client.ask([method, args, {}]);
  if ("error" in reply) throw new Error(`${reply.error}: ${reply.message}`);
  return reply.value as Value;
}

const refusedBy = async (method: string, ...args: readonly unknown[]) =>
  await client.ask([method, args, {}]);

test("Nova's own client finds a profile, makes, binds, watches and deletes requests", async () => {
  const groups = [
    { [`resources:${intel}`]: "1", "trait:CUSTOM_HW_INTEL": "required" },
    { [`resources:${intel}`]: "1", "trait:CUSTOM_HW_XILINX": "forbidden" },
  ];
  const profile = await gatehouse.profile(groups);
  expect(await ask("get_device_profile_groups", profile)).toEqual(groups);
  expect(await ask("get_device_request_groups", groups, null)).toEqual([
    {
      requester: "device_profile_0",
      resources: { [intel]: 1 },
      required: ["CUSTOM_HW_INTEL"],
      forbidden: [],
    },
    {
      requester: "device_profile_1",
      resources: { [intel]: 1 },
      required: [],
      forbidden: ["CUSTOM_HW_XILINX"],
    },
  ]);

  const { body } = await gatehouse.accelerator<{ deployables: { rp_uuid: string }[] }>(
    "GET",
    "/deployables",
  );
  const rp = body.deployables[0]?.rp_uuid ?? "";
  const arqs = await ask<Arq[]>("create_arqs_and_match_resource_providers", profile, {
    device_profile_0: [rp],
    device_profile_1: [rp],
  });
  expect(arqs).toMatchObject([
    { state: "Initial", device_profile_group_id: 0, device_rp_uuid: rp },
    { state: "Initial", device_profile_group_id: 1, device_rp_uuid: rp },
  ]);
  const instance = randomUUID();
  const binding = {
    hostname: stack.where.computeName,
    device_rp_uuid: rp,
    instance_uuid: instance,
  };
  const uuids = arqs.map(({ uuid }) => uuid);
  await ask("bind_arqs", Object.fromEntries(uuids.map((uuid) => [uuid, binding])));
  const bound = await until("both to be bound", async () => {
    const resolved = await ask<Arq[]>("get_arqs_for_instance", instance, true);
    return resolved.length === 2 ? resolved : undefined;
  });
  expect(bound.map(({ state }) => state)).toEqual(["Bound", "Bound"]);
  expect(bound.map(({ attach_handle_type: type }) => type)).toEqual(["PCI", "PCI"]);
  expect(await ask("get_arqs_for_instance", instance)).toEqual(bound);
  expect(new Set(await ask<string[]>("get_arq_uuids_for_instance", instance))).toEqual(
    new Set(uuids),
  );
  const [first] = bound;
  expect(await ask("get_arq_by_uuid", first?.uuid)).toEqual(first);

  await ask("delete_arqs_for_instance", instance);
  // Nova asks up to three times.
  await ask("delete_arqs_for_instance", instance);
  expect(await refusedBy("get_arqs_for_instance", instance)).toMatchObject({
    error: "AcceleratorRequestOpFailed",
  });
  await gatehouse.placed(intel, 2);
});

test("Nova's own client deletes requests that were never bound, and again what is gone", async () => {
  const profile = await gatehouse.profile([{ [`resources:${intel}`]: "2" }]);
  const arqs = await ask<Arq[]>("create_arqs_and_match_resource_providers", profile, {
    device_profile_0: [randomUUID()],
  });
  const uuids = arqs.map(({ uuid }) => uuid);
  expect(uuids).toHaveLength(2);
  await ask("delete_arqs_by_uuid", uuids);
  expect(await gatehouse.arqs()).toEqual([]);
  await ask("delete_arqs_by_uuid", uuids);
});

test("Nova's own client hears of a profile that is not there and of a bind that cannot be", async () => {
  expect(await refusedBy("get_device_profile_groups", "nowhere")).toMatchObject({
    error: "DeviceProfileError",
  });
  const profile = await gatehouse.profile([{ [`resources:${intel}`]: "1" }]);
  const [arq] = await ask<Arq[]>("create_arqs_and_match_resource_providers", profile, {
    device_profile_0: [randomUUID()],
  });
  const uuid = arq?.uuid ?? "";
  const nowhere = {
    hostname: stack.where.computeName,
    device_rp_uuid: randomUUID(),
    instance_uuid: randomUUID(),
  };
  expect(await refusedBy("bind_arqs", { [uuid]: nowhere })).toMatchObject({
    error: "AcceleratorRequestBindingFailed",
  });
  expect(await gatehouse.arqs()).toMatchObject([{ uuid, state: "Initial" }]);
  await ask("delete_arqs_by_uuid", [uuid]);
});
