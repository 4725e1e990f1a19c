import { afterAll, beforeAll, expect, test } from "vitest";
import type { ImageView } from "#protocol/http/images";
import type { QuotaView } from "#protocol/http/settings";
import type { SimulatedHost } from "../../localstack/hosts/simulated-host.ts";
import { cryptoGbs } from "../../localstack/tour/bitstreams.ts";
import { until } from "../../localstack/tour/steps.ts";
import { type Gatehouse, startGatehouse } from "./gatehouse.ts";
import { bootImage, type Servers, serversOf } from "./servers.ts";
import { type SharedStack, sharedStack } from "./shared.ts";

const vf = "CUSTOM_FPGA_INTEL_VF";
const region = "69528db6-eb31-577a-9926-ab6d6c925a68";

let stack: SharedStack;
let gatehouse: Gatehouse;
let host: SimulatedHost;
let servers: Servers;
let image: ImageView;

beforeAll(async () => {
  stack = await sharedStack();
  gatehouse = await startGatehouse(stack);
  host = await gatehouse.addHost(stack.where.computeName, { dfl: 2 });
  image = await gatehouse.upload(cryptoGbs(region));
  servers = serversOf(stack, gatehouse.token, await bootImage(stack, gatehouse.token));
  await gatehouse.placed(vf, 4);
});

afterAll(async () => {
  await gatehouse?.close();
});

interface Arq {
  readonly uuid: string;
  readonly state: string;
  readonly hostname: string;
  readonly instance_uuid: string;
  readonly attach_handle_type: string;
  readonly attach_handle_info: Readonly<Record<string, string>>;
}

async function arqs(instance?: string): Promise<readonly Arq[]> {
  const query = instance === undefined ? "" : `?instance=${instance}`;
  const path = `/accelerator_requests${query}`;
  return (await gatehouse.accelerator<{ arqs: Arq[] }>("GET", path)).body.arqs;
}

/** Everything is given back: no request, no quota in use, all cards on offer, also in Placement. */
async function nothingLeft(): Promise<void> {
  expect(await arqs()).toEqual([]);
  const { items } = await gatehouse.api<{ items: QuotaView[] }>("GET", "/v1/quotas");
  expect(items.map(({ used }) => used).filter((used) => used > 0)).toEqual([]);
  await until("all cards on offer", async () =>
    (await gatehouse.deployables()).every(({ offered }) => offered) ? true : undefined,
  );
  await gatehouse.placed(vf, 4);
}

test("a server gets a programmed card and keeps it through its life, until it is deleted", async () => {
  const profile = await gatehouse.profile([
    {
      [`resources:${vf}`]: "1",
      "trait:CUSTOM_HW_INTEL": "required",
      "accel:bitstream_id": image.id,
    },
  ]);
  const flavor = await servers.flavor({ "accel:device_profile": profile });
  const id = await servers.boot(flavor);
  await servers.settled(id, "ACTIVE");
  const [arq] = await arqs(id);
  expect(arq).toMatchObject({
    state: "Bound",
    hostname: stack.where.computeName,
    attach_handle_type: "PCI",
  });
  await servers.remove(id);
  await nothingLeft();
  expect(host.name).toBe(stack.where.computeName);
});
