import { generateKeyPairSync, randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { CardOperationView } from "#protocol/http/cards";
import type { ClaimView } from "#protocol/http/claims";
import type { DeviceView } from "#protocol/http/deployables";
import type { ImageView } from "#protocol/http/images";
import { signManifest } from "#protocol/images/manifest";
import type { Api } from "../../localstack/hosts/api.ts";
import { until } from "../../localstack/tour/steps.ts";
import { runTour } from "../../localstack/tour/tour.ts";
import { roleId, roles } from "../../tools/roles.ts";
import { type Access, around, isAllowed, recordAccess } from "./access.ts";
import { deployables } from "./settling.ts";
import { type Offline, offered, startOffline } from "./support.ts";

const accesses: Access[] = [];
let stop: () => void;
let offline: Offline;

beforeAll(async () => {
  stop = recordAccess(accesses);
  offline = await startOffline({}, around);
  await offline.addHost("host-1");
});

afterAll(async () => {
  await offline.close();
  stop();
});

type Role = {
  readonly Properties: {
    readonly Policies: readonly { readonly PolicyDocument: { readonly Statement: never[] } }[];
  };
};

function statementsOf(functionName: string) {
  const role = roles[roleId(functionName)] as Role;
  return role.Properties.Policies.flatMap((policy) => policy.PolicyDocument.Statement);
}

/** A key that signs an image, is revoked, and the image retired. */
async function signing(api: Api): Promise<void> {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
  const key = await api<{ id: string }>("POST", "/v1/keys", { name: "signer", publicKey: pem });
  const { items } = await api<{ items: ImageView[] }>("GET", "/v1/images?state=active");
  const image = items[0];
  if (image === undefined) throw new Error("the tour left an image");
  const statement = {
    sha256: String(image.sha256),
    size: Number(image.size),
    vendor: image.vendor,
    type: image.type,
    format: String(image.format),
    interfaceId: String(image.interfaceId),
    functionId: String(image.functionId),
  };
  const manifest = signManifest(statement, key.id, privateKey);
  await api("POST", `/v1/images/${image.id}/signature`, { manifest });
  await api("POST", `/v1/keys/${encodeURIComponent(key.id)}/revoke`);
  await api("DELETE", `/v1/images/${image.id}`);
}

/** Calls beside the tour that touch what the tour does not. */
async function everythingElse(): Promise<void> {
  const api = offline.as("default");
  const [one] = await offered(api, 1);
  await signing(api);
  const groups = [{ [`resources:${one?.resourceClass ?? ""}`]: "1" }];
  await api("POST", "/v1/profiles", { name: "plain", groups });
  const request = { profile: "plain", instance: "guest-1", leaseSeconds: 60, host: "host-1" };
  await api("POST", "/v1/deployables/explain", request);
  const { claims } = await api<{ claims: ClaimView[] }>("POST", "/v1/claims", request);
  const id = claims[0]?.id ?? "";
  await api("POST", `/v1/claims/${id}/renew`, { leaseSeconds: 90 });
  await api("GET", "/v1/claims?instance=guest-1");
  await api("DELETE", `/v1/claims/${id}`);
  await api("PUT", "/v1/quotas/default/CUSTOM_FPGA_INTEL_VF", { limit: 5 });
  const reads = [
    "quotas",
    "traits",
    "resource-classes",
    "events",
    "devices",
    "hosts",
    "profiles",
    "keys",
    "images",
    "claims?all=true",
  ];
  for (const path of reads) await api("GET", `/v1/${path}`);
  await api("POST", "/v1/hosts", { name: "host-2" });
  for (const verb of ["disable", "enable"]) {
    await api("POST", `/v1/deployables/${one?.id ?? ""}/${verb}`);
  }
  await until("everything on offer again", async () =>
    (await deployables(api)).every((one) => one.offered) ? true : undefined,
  );
  const { items } = await api<{ items: DeviceView[] }>("GET", "/v1/devices");
  const card = items[0]?.id ?? "";
  const { id: operation } = await api<CardOperationView>("POST", `/v1/devices/${card}/operations`, {
    kind: "rescan",
  });
  await until("the operation to end", async () => {
    const path = `/v1/devices/${card}/operations/${operation}`;
    return (await api<CardOperationView>("GET", path)).state === "succeeded" ? true : undefined;
  });
  for (const verb of ["drain", "activate"]) await api("POST", `/v1/hosts/host-1/${verb}`);
  const sweep = await offline.cloud.load("functions/events/sweep.handler");
  await sweep({} as never, {} as never);
  const judge = await offline.cloud.load("functions/events/image-uploaded.handler");
  await judge({ source: "aws.events" } as never, {} as never);
}

/** Cyborg's API: a request's life, a card off and on offer, an attribute, a program. */
async function acceleratorCalls(): Promise<void> {
  const api = offline.as("default", "admin,service");
  // The host comes back with its next hello; a bind on a silent one is refused.
  await offered(api, 1);
  const { deployables: found } = await api<{
    deployables: { uuid: string; rp_uuid: string; attributes_list: string }[];
  }>("GET", "/v2/deployables");
  const [one] = found;
  const [, resourceClass = ""] = /"rc":"(\w+)"/.exec(one?.attributes_list ?? "") ?? [];
  const groups = [{ [`resources:${resourceClass}`]: "1" }];
  const profile = await api<{ uuid: string }>("POST", "/v2/device_profiles", [
    { name: "cyborg", groups },
  ]);
  await api("GET", `/v2/device_profiles/${profile.uuid}`);
  await api("GET", "/v2/device_profiles");
  const { arqs } = await api<{ arqs: { uuid: string }[] }>("POST", "/v2/accelerator_requests", {
    device_profile_name: "cyborg",
  });
  const id = arqs[0]?.uuid ?? "";
  const instance = randomUUID();
  await api("PATCH", "/v2/accelerator_requests", {
    [id]: [
      { path: "/hostname", op: "add", value: "host-1" },
      { path: "/device_rp_uuid", op: "add", value: one?.rp_uuid },
      { path: "/instance_uuid", op: "add", value: instance },
    ],
  });
  await api("GET", "/v2/accelerator_requests");
  await api("GET", `/v2/accelerator_requests?instance=${instance}`);
  await api("PATCH", "/v2/accelerator_requests", { [id]: [{ path: "/hostname", op: "remove" }] });
  await api("DELETE", `/v2/accelerator_requests/${id}`);
  await api("DELETE", "/v2/device_profiles?value=cyborg");
  await devicesAndAttributes(api, one?.uuid ?? "");
}

async function devicesAndAttributes(api: Api, deployable: string): Promise<void> {
  const { devices } = await api<{ devices: { uuid: string }[] }>("GET", "/v2/devices");
  for (const verb of ["disable", "enable"]) {
    await api("POST", `/v2/devices/${devices[0]?.uuid ?? ""}/${verb}`);
  }
  const attribute = await api<{ uuid: string }>("POST", "/v2/attributes", {
    deployable_id: deployable,
    key: "k",
    value: "v",
  });
  await api("DELETE", `/v2/attributes/${attribute.uuid}`);
}

test("every function's role allows what the function does", async () => {
  await runTour({
    api: offline.as("default"),
    s3: offline.s3,
    bucket: offline.cloud.bucket,
    project: "default",
    say: () => undefined,
  });
  await everythingElse();
  await acceleratorCalls();
  const refused = accesses.filter(
    (access) => !isAllowed(statementsOf(access.functionName), access),
  );
  const told = refused.map(
    ({ functionName, action, on }) =>
      `${functionName} ${action} ${on.map((one) => one.split("#")[0]).join()}`,
  );
  expect([...new Set(told)].toSorted()).toEqual([]);
  const active = new Set(accesses.map(({ functionName }) => functionName));
  expect([...active]).toEqual(
    expect.arrayContaining([
      "accelerator",
      "claims",
      "imageUploaded",
      "tableChanged",
      "message",
      "sweep",
    ]),
  );
}, 60_000);

test("an access that no role allows is noticed", () => {
  const access = { functionName: "catalog", action: "dynamodb:PutItem", on: ["HOST#1"] };
  expect(isAllowed(statementsOf("catalog"), access)).toBe(false);
  const foreign = { functionName: "keys", action: "dynamodb:GetItem", on: ["CLAIM#1"] };
  expect(isAllowed(statementsOf("keys"), foreign)).toBe(false);
  expect(isAllowed(statementsOf("keys"), { ...foreign, on: ["KEY#1"] })).toBe(true);
});
