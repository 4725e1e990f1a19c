import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClaimView } from "#protocol/http/claims";
import type { ImageView } from "#protocol/http/images";
import { uuidOf } from "#protocol/uuid";
import type { Api } from "../../localstack/hosts/api.ts";
import { until } from "../../localstack/tour/steps.ts";
import { allFree, deployableWhen } from "./settling.ts";
import { type Offline, startOffline } from "./support.ts";
import { activeImage, functionOf } from "./uploads.ts";

/** Cyborg's API as a client sees it: over HTTP, with simulated hosts behind it. */

const resourceClass = "CUSTOM_FPGA_INTEL_VF";
const vm = uuidOf("test", "vm");

interface Arq {
  readonly uuid: string;
  readonly state: string;
  readonly attach_handle_type: string;
  readonly attach_handle_info: object;
}

interface DeployableBody {
  readonly uuid: string;
  readonly rp_uuid: string;
  readonly bitstream_id: string | null;
  readonly attributes_list: string;
}

let offline: Offline;
let admin: Api;
let nova: Api;
let image: ImageView;

beforeAll(async () => {
  offline = await startOffline();
  admin = offline.as("acme");
  nova = offline.as("acme", "member,reader,service");
  await offline.addHost("host-1", { dfl: 1 });
  image = await activeImage(offline, "acme", "accelerator");
  await allFree(admin, 1);
});

afterAll(async () => {
  await offline.close();
});

async function programmable(): Promise<DeployableBody> {
  const { deployables } = await admin<{ deployables: DeployableBody[] }>("GET", "/v2/deployables");
  const found = deployables.find((one) => one.attributes_list.includes(resourceClass));
  if (found === undefined) throw new Error(`no deployable of ${resourceClass}`);
  return found;
}

async function requests(): Promise<readonly Arq[]> {
  const path = `/accelerator/v2/accelerator_requests?instance=${vm}`;
  return (await nova<{ arqs: Arq[] }>("GET", path)).arqs;
}

test("a request is made, bound with its bitstream programmed, listed by its guest and deleted", async () => {
  const groups = [{ [`resources:${resourceClass}`]: "1", "accel:bitstream_id": image.id }];
  await admin("POST", "/accelerator/v2/device_profiles", [{ name: "crypto", groups }]);
  const { arqs } = await nova<{ arqs: Arq[] }>("POST", "/v2/accelerator_requests", {
    device_profile_name: "crypto",
  });
  const id = arqs[0]?.uuid ?? "";
  const { rp_uuid: provider } = await programmable();
  await nova("PATCH", "/v2/accelerator_requests", {
    [id]: [
      { path: "/hostname", op: "add", value: "host-1" },
      { path: "/device_rp_uuid", op: "add", value: provider },
      { path: "/instance_uuid", op: "add", value: vm },
    ],
  });
  const bound = await until("the request to be bound", async () => {
    const [one] = await requests();
    if (one?.state === "BindFailed") throw new Error("the bind failed");
    return one?.state === "Bound" ? one : undefined;
  });
  expect(bound).toMatchObject({ uuid: id, attach_handle_type: "PCI" });
  expect(bound.attach_handle_info).toMatchObject({
    domain: expect.stringMatching(/^[0-9a-f]{4}$/),
  });
  const claim = await admin<ClaimView>("GET", `/v1/claims/${id}`);
  expect(claim).toMatchObject({ state: "Bound", image: image.id, profile: "crypto" });
  const { loaded } = await deployableWhen(admin, claim.deployable, () => true);
  expect(loaded.functionId).toBe(functionOf("accelerator"));
  await nova("DELETE", `/v2/accelerator_requests?instance=${vm}`);
  expect(await requests()).toEqual([]);
  await allFree(admin, 1);
}, 60_000);

test("an operator programs a free card, which is on offer again with what it has loaded", async () => {
  const { uuid } = await programmable();
  const body = [{ path: "/program", op: "replace", value: [{ image_uuid: image.id }] }];
  const programmed = await admin<DeployableBody>("PATCH", `/v2/deployables/${uuid}/program`, body);
  expect(programmed).toMatchObject({ uuid, bitstream_id: image.id });
  expect(programmed.attributes_list).toContain("CUSTOM_ACCELERATOR_CRYPTO");
  const [free] = await allFree(admin, 1);
  expect(free?.loaded.imageId).toBe(image.id);
}, 60_000);

test.each(["/v2", "/v2/", "/accelerator/v2", "/accelerator/v2/"])(
  "%s answers whoever asks, and its own link leads back to it",
  async (path) => {
    const { url } = offline.cloud;
    const answer = await fetch(url + path);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("openstack-api-maximum-version")).toBe("2.3");
    const { links } = (await answer.json()) as { links: { href: string }[] };
    const again = await fetch(links[0]?.href ?? "");
    expect(await again.json()).toMatchObject({ id: "v2.0", links });
  },
);

test("methods and paths that are not there are answered as by Cyborg, not by the gateway", async () => {
  const { url } = offline.cloud;
  expect((await fetch(`${url}/v2/devices`, { method: "HEAD" })).status).toBe(405);
  expect((await fetch(`${url}/v2/devices`, { method: "OPTIONS" })).status).toBe(200);
  for (const path of ["/v2/nothing", "/accelerator/v1/devices", "/nothing/"]) {
    const answer = await fetch(url + path);
    expect([answer.status, await answer.json()]).toMatchObject([
      404,
      { error_message: expect.stringContaining("404 Not Found") },
    ]);
  }
  const form = { method: "POST", body: "a=b" };
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const refused = await fetch(`${url}/v2/device_profiles`, { ...form, headers });
  expect(refused.status).toBe(400);
});
