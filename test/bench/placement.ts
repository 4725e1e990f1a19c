import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import type { Shape } from "#domain/providers/provider";
import { providersOf } from "#domain/providers/providers";
import { openSession } from "#openstack/session";
import { providerId } from "#protocol/uuid";
import { deployableRow, deployablesOf } from "#store/deployables";
import { beatRow, createHost } from "#store/hosts";
import { memoryTable } from "#store/memory-table";
import type { Store } from "#store/store";
import { placementParts } from "../../functions/openstack/placement-parts.ts";
import { syncHost } from "../../functions/openstack/placement-sync.ts";
import { until } from "../../localstack/tour/steps.ts";
import { type Placement, startPlacement } from "../openstack/services/placement.ts";
import { type Benchmark, type Figure, percentiles } from "./figure.ts";
import { benchClass, seededDeployable } from "./fleet.ts";
import { caller, load, onStage, type Stage } from "./load.ts";

const cards = 8;

/** A host of eight cards, named so that it does not collide with those of another measurement. */
interface SeededHost {
  readonly id: string;
  readonly name: string;
}

/** Placement's API as its administrator. */
async function admin(
  { url, token }: Placement,
  method: string,
  path: string,
  json?: unknown,
): Promise<{ readonly status: number; readonly ms: number; readonly body: unknown }> {
  const begun = performance.now();
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      "x-auth-token": token,
      "content-type": "application/json",
      "openstack-api-version": "placement 1.39",
    },
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
  });
  const text = await response.text();
  const body: unknown = text === "" ? undefined : JSON.parse(text);
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return { status: response.status, ms: performance.now() - begun, body };
}

/** Hosts as nova-compute would have made them in Placement, with their cards in the table. */
async function seedHosts(
  store: Store,
  placement: Placement,
  count: number,
): Promise<readonly SeededHost[]> {
  const hosts: SeededHost[] = [];
  for (let index = 0; index < count; index += 1) {
    const id = randomUUID();
    const name = `bench-${id.slice(0, 8)}`;
    await admin(placement, "POST", "/resource_providers", { name, uuid: id });
    hosts.push({ id, name });
    const facts = { revoked: false, createdAt: 0, updatedAt: 0, revision: 0 };
    await createHost(store, { id, name, state: "online", ...facts }, []);
    // A year ahead: a benchmark must not lose its hosts for want of pings.
    const seenAt = Date.now() + 365 * 86_400_000;
    const beat = beatRow({ host: id, state: "online", epoch: 1, seenAt });
    const rows = Array.from({ length: cards }, (_, slot) =>
      deployableRow(seededDeployable(id, slot, Date.now())),
    );
    await store.table.write([beat, ...rows].map((item) => ({ kind: "put", item })));
  }
  return hosts;
}

function memoryStore(): Store {
  return {
    table: memoryTable(),
    now: Date.now,
    random: Math.random,
    sleep: async (ms) => {
      await new Promise((resolve) => {
        setTimeout(resolve, ms);
      });
    },
  };
}

/** First sync of many hosts, one provider per card, and the pass that finds nothing to do. */
async function syncFigures(placement: Placement, hosts: number): Promise<readonly Figure[]> {
  const store = memoryStore();
  const seeded = await seedHosts(store, placement, hosts);
  let writes = 0;
  const counting: typeof fetch = async (input, init) => {
    if (init?.method !== undefined && init.method !== "GET") writes += 1;
    return await fetch(input, init);
  };
  const openstack = openSession({
    fetch: counting,
    now: Date.now,
    endpoints: { placement: placement.url },
    interface: "public",
  });
  const shape: Shape = "tree";
  const parts = placementParts({ store, openstack, shape }, () => undefined);
  const pass = async (index: number) => {
    const begun = performance.now();
    const host = seeded[(index - 1) % seeded.length]?.id ?? "";
    const synced = await syncHost(parts, host);
    if (synced === "waiting") throw new Error(`host ${host} could not be synchronized`);
    return { ms: performance.now() - begun };
  };
  const first = await load(seeded.length, 8, pass);
  writes = 0;
  const idle = await load(seeded.length, 8, pass);
  const providers = hosts * cards;
  return [
    {
      name: `first sync of ${providers} providers`,
      value: first.perSecond * cards,
      unit: "providers/s",
      note: "real Placement on SQLite, one provider per card",
    },
    { name: "a host with nothing to write, p50", value: percentiles(idle.times).p50, unit: "ms" },
    { name: "writes of an idle pass", value: writes, unit: "writes", budget: { atMost: 0 } },
  ];
}

/** Six of eight cards of one host: by our claim, and by Placement's own candidates. */
async function sixOfEight(
  stage: Stage,
  placement: Placement,
  short: boolean,
): Promise<readonly Figure[]> {
  const count = short ? 20 : 60;
  const seeded = await seedHosts(stage.store, placement, count);
  for (const { id, name } of seeded) await synced(stage, placement, id, name);
  await stage.quiet();
  const call = caller(stage.cloud.url);
  const claims = await load(count, 1, async (index) => {
    const host = seeded[index - 1]?.name ?? "";
    const body = { resourceClass: benchClass, count: 6, host };
    const answer = await call("POST", "/v1/claims", `project-${index % 16}`, body);
    if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
    return answer;
  });
  const pool = await load(5, 1, async () => {
    return await admin(
      placement,
      "GET",
      `/allocation_candidates?resources=${benchClass}:1&limit=10`,
    );
  });
  return [
    {
      name: "6 of 8 on one host with Placement, p99",
      value: percentiles(claims.times).p99,
      unit: "ms",
      budget: { atMost: 250 },
    },
    {
      name: "6 of 8 on one host with Placement, p50",
      value: percentiles(claims.times).p50,
      unit: "ms",
    },
    {
      name: "Placement's candidates for one card, p50",
      value: percentiles(pool.times).p50,
      unit: "ms",
      note: `${count} hosts`,
    },
    ...(await treeCandidates(placement, short)),
  ];
}

/** Waits until the host's pool stands in Placement. */
async function synced(
  { store }: Stage,
  placement: Placement,
  host: string,
  name: string,
): Promise<void> {
  const [provider] = providersOf("pool", name, await deployablesOf(store, host), []);
  const id = providerId(provider?.name ?? "");
  await until(`the pool of ${name}`, async () => {
    const path = `/resource_providers/${id}/inventories`;
    const answer = await admin(placement, "GET", path).catch(() => undefined);
    const { inventories } = (answer?.body ?? {}) as { inventories?: Record<string, unknown> };
    return inventories?.[benchClass] === undefined ? undefined : true;
  });
}

/** The same question to Placement where each card is a provider: one group for each card. */
async function treeCandidates(placement: Placement, short: boolean): Promise<readonly Figure[]> {
  const groups = short ? 5 : 6;
  const asked = Array.from(
    { length: groups },
    (_, index) => `resources_c${index}=CUSTOM_BENCH_TREE:1`,
  );
  await admin(placement, "PUT", "/resource_classes/CUSTOM_BENCH_TREE");
  const root = randomUUID();
  await admin(placement, "POST", "/resource_providers", { name: `tree-${root}`, uuid: root });
  for (let card = 0; card < cards; card += 1) {
    const uuid = randomUUID();
    const provider = { name: `tree-${uuid}`, uuid, parent_provider_uuid: root };
    await admin(placement, "POST", "/resource_providers", provider);
    await admin(placement, "PUT", `/resource_providers/${uuid}/inventories`, {
      resource_provider_generation: 0,
      inventories: { CUSTOM_BENCH_TREE: { total: 1 } },
    });
  }
  const query = [...asked, "group_policy=isolate", "limit=1"].join("&");
  const { ms } = await admin(placement, "GET", `/allocation_candidates?${query}`);
  return [
    {
      name: `Placement's candidates for ${groups} of 8, a provider each`,
      value: ms,
      unit: "ms",
      note: "one host; six groups took 38 s (reference/peers.md)",
    },
  ];
}

/** What needs a real Placement: Debian's packages, which test/openstack/install.sh installs. */
export const placement: Benchmark = {
  name: "placement",
  about: "With a real Placement from Debian's packages, on SQLite.",
  run: async (short) => {
    if (!existsSync("/usr/bin/placement-api")) {
      throw new Error("placement-api is not installed: run test/openstack/install.sh");
    }
    const real = await startPlacement();
    try {
      const first = await syncFigures(real, short ? 25 : 125);
      const functions = { PLACEMENT_ENDPOINT: real.url };
      const claims = await onStage(
        async (stage) => await sixOfEight(stage, real, short),
        functions,
      );
      return [...first, ...claims];
    } finally {
      await real.stop();
    }
  },
};
