import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ClaimView } from "#protocol/http/claims";
import type { Api } from "../../localstack/hosts/api.ts";
import { until } from "../../localstack/tour/steps.ts";
import { claimWhen } from "../offline/settling.ts";
import { type Offline, startOffline } from "../offline/support.ts";
import { type Placement, startPlacement } from "./services/placement.ts";
import { rest } from "./services/rest.ts";

/** Native claims where Placement is in use: both agree on who has what, whatever happens between. */

let placement: Placement;
let offline: Offline;
let api: Api;
/** While it is set, Placement is cut off from the functions. */
let isCut = false;

const host = "node-1";
/** Two cards with two regions each. */
const cards = { dfl: 2 };
const regions = 4;

beforeAll(async () => {
  placement = await startPlacement();
  const { url } = placement;
  const through = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    const target = input instanceof Request ? input.url : String(input);
    if (isCut && target.startsWith(url)) throw new TypeError("fetch failed");
    return await through(input, init);
  };
  await admin("POST", "/resource_providers", { name: host, uuid: randomUUID() });
  offline = await startOffline({ PLACEMENT_ENDPOINT: url });
  api = offline.as("p1");
  await offline.addHost(host, cards);
  await until("the pool in Placement", async () =>
    (await pool())?.total === regions ? true : undefined,
  );
});

afterAll(async () => {
  isCut = false;
  await offline.close();
  await placement.stop();
});

async function admin<Body>(method: string, path: string, json?: unknown): Promise<Body> {
  const { body, status } = await rest<Body>({
    method,
    url: `${placement.url}${path}`,
    token: placement.token,
    headers: { "openstack-api-version": "placement 1.39" },
    ...(json === undefined ? {} : { json }),
  });
  if (status >= 400) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(body)}`);
  return body;
}

interface Pool {
  readonly uuid: string;
  readonly resourceClass: string;
  readonly total: number;
  readonly reserved: number;
  readonly used: number;
}

async function pool(): Promise<Pool | undefined> {
  const { resource_providers: found } = await admin<{
    resource_providers: { uuid: string; name: string }[];
  }>("GET", "/resource_providers");
  const child = found.find(({ name }) => name.startsWith(`${host}_`));
  if (child === undefined) return undefined;
  const path = `/resource_providers/${child.uuid}`;
  const { inventories } = await admin<{
    inventories: Record<string, { total: number; reserved: number }>;
  }>("GET", `${path}/inventories`);
  const [resourceClass, inventory] = Object.entries(inventories)[0] ?? [];
  if (resourceClass === undefined || inventory === undefined) return undefined;
  const { usages } = await admin<{ usages: Record<string, number> }>("GET", `${path}/usages`);
  const { total, reserved } = inventory;
  return { uuid: child.uuid, resourceClass, total, reserved, used: usages[resourceClass] ?? 0 };
}

async function poolWhen(wish: Partial<Pool>): Promise<Pool> {
  return await until(`a pool of ${JSON.stringify(wish)}`, async () => {
    const now = await pool();
    const isSo = Object.entries(wish).every(([name, value]) => now?.[name as keyof Pool] === value);
    return isSo ? now : undefined;
  });
}

async function allocationOf(consumer: string): Promise<object> {
  return (await admin<{ allocations: object }>("GET", `/allocations/${consumer}`)).allocations;
}

async function claim(count = 1): Promise<readonly ClaimView[]> {
  const resourceClass = (await pool())?.resourceClass;
  const body = { resourceClass, count, host };
  return (await api<{ claims: ClaimView[] }>("POST", "/v1/claims", body)).claims;
}

/** The minute's clock of the second systems, now. */
async function tick(): Promise<void> {
  const clock = await offline.cloud.load("functions/events/openstack-clock.handler");
  await clock({} as never, {} as never);
}

describe("a native claim", () => {
  test("has an allocation of its own, and gives it back", async () => {
    const { uuid, resourceClass } = await poolWhen({ used: 0, reserved: 0 });
    const [one] = await claim();
    const id = one?.id ?? "";
    expect(await allocationOf(id)).toMatchObject({ [uuid]: { resources: { [resourceClass]: 1 } } });
    await claimWhen(api, id, ({ state }) => state === "Bound");
    await poolWhen({ used: 1, reserved: 0 });
    await api("DELETE", `/v1/claims/${id}`);
    await poolWhen({ used: 0, reserved: 0 });
    expect(await allocationOf(id)).toEqual({});
  });

  test("of several cards takes all or none", async () => {
    await poolWhen({ used: 0, reserved: 0 });
    const claims = await claim(regions);
    for (const { id } of claims) expect(Object.keys(await allocationOf(id))).toHaveLength(1);
    await poolWhen({ used: regions });
    for (const { id } of claims) await api("DELETE", `/v1/claims/${id}`);
    await poolWhen({ used: 0, reserved: 0 });
  });

  test("does not take what Placement has promised to a server", async () => {
    const { uuid, resourceClass, total } = await poolWhen({ used: 0, reserved: 0 });
    const server = randomUUID();
    const allocation = { [uuid]: { resources: { [resourceClass]: total } } };
    await admin("PUT", `/allocations/${server}`, {
      allocations: allocation,
      consumer_generation: null,
      consumer_type: "INSTANCE",
      project_id: randomUUID(),
      user_id: randomUUID(),
    });
    await expect(claim()).rejects.toMatchObject({ code: "NO_CAPACITY" });
    await admin("DELETE", `/allocations/${server}`);
    await poolWhen({ used: 0, reserved: 0 });
  });

  test("waits while Placement is away, is released as ever, and leaves nothing behind", async () => {
    await poolWhen({ used: 0, reserved: 0 });
    const { resourceClass } = (await pool()) ?? {};
    isCut = true;
    const { claims } = await api<{ claims: ClaimView[] }>("POST", "/v1/claims", {
      resourceClass,
      count: 2,
    });
    const [first, second] = claims.map(({ id }) => id);
    expect(claims.map(({ state }) => state)).toEqual(["BindStarted", "BindStarted"]);
    await api("DELETE", `/v1/claims/${second ?? ""}`);
    isCut = false;
    await until("the first to be bound", async () => {
      await tick();
      const { state } = await api<ClaimView>("GET", `/v1/claims/${first ?? ""}`);
      return state === "Bound" ? true : undefined;
    });
    expect(Object.keys(await allocationOf(first ?? ""))).toHaveLength(1);
    expect(await allocationOf(second ?? "")).toEqual({});
    isCut = true;
    await api("DELETE", `/v1/claims/${first ?? ""}`);
    isCut = false;
    await until("its allocation to be gone", async () => {
      await tick();
      return Object.keys(await allocationOf(first ?? "")).length === 0 ? true : undefined;
    });
    await poolWhen({ used: 0, reserved: 0 });
  });
});
