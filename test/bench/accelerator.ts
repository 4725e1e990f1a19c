import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { Claim } from "#domain/claim";
import { providersOf } from "#domain/providers/providers";
import { providerId } from "#protocol/uuid";
import { addClaim } from "#store/claims";
import { deployablesOf } from "#store/deployables";
import { type Api, apiOf } from "../../localstack/hosts/api.ts";
import { type SimulatedHost, startSimulatedHost } from "../../localstack/hosts/simulated-host.ts";
import { until } from "../../localstack/tour/steps.ts";
import { type Benchmark, type Figure, percentiles } from "./figure.ts";
import { load, onStage, type Stage } from "./load.ts";

/** Cyborg on a box of this size (reference/openstack.md §7), its cycle without a guest. */
const peer = { one: "Cyborg 2025.2: 5.8 cycles/s, p50 175 ms", eight: "Cyborg 2025.2: 9.5–9.8" };

const headers = { "x-project-id": randomUUID(), "x-roles": "admin,service", "x-user-id": "nova" };
const cardsPerHost = 8;
const hostCount = 4;

interface Site {
  readonly api: Api;
  readonly hosts: readonly SimulatedHost[];
  /** A provider of each host, with the host's name. */
  readonly places: readonly Place[];
}

interface Place {
  readonly hostname: string;
  readonly rp: string;
  readonly resourceClass: string;
}

async function siteOf(stage: Stage): Promise<Site> {
  const api = apiOf(stage.cloud.url, headers);
  const hosts = await Promise.all(
    Array.from({ length: hostCount }, async (_, index) => {
      const name = `bench-${index}`;
      return await startSimulatedHost({
        name,
        url: stage.cloud.url,
        dir: join(stage.dataDir, name),
        cards: { dfl: cardsPerHost },
        speed: Number.POSITIVE_INFINITY,
        newToken: async () =>
          (await api<{ joinToken: string }>("POST", "/v1/hosts", { name })).joinToken,
      });
    }),
  );
  const { items } = await until("every card on offer", async () => {
    const page = await api<{ items: { offered: boolean; host: string }[] }>(
      "GET",
      "/v1/deployables?limit=200",
    );
    const free = page.items.filter(({ offered }) => offered).length;
    return free >= cardsPerHost * hostCount ? page : undefined;
  });
  const ids = [...new Set(items.map(({ host }) => host))];
  const places = await Promise.all(ids.map(async (id) => await placeOf(stage, id)));
  return { api, hosts, places };
}

async function placeOf({ store }: Stage, host: string): Promise<Place> {
  const deployables = await deployablesOf(store, host);
  const hostname = deployables[0]?.hostName ?? "";
  const [provider] = providersOf("pool", hostname, deployables, []);
  if (provider === undefined) throw new Error(`${hostname} has no provider`);
  return { hostname, rp: providerId(provider.name), resourceClass: provider.resourceClass };
}

interface Arq {
  readonly uuid: string;
  readonly state: string;
}

/** What Nova does for one server: create, bind, wait, and delete; milliseconds of the whole. */
async function cycle({ api, places }: Site, index: number): Promise<{ readonly ms: number }> {
  const begun = performance.now();
  const place = places[index % places.length];
  const instance = randomUUID();
  const { arqs } = await api<{ arqs: readonly Arq[] }>("POST", "/v2/accelerator_requests", {
    device_profile_name: "bench",
  });
  const paths = {
    hostname: place?.hostname,
    device_rp_uuid: place?.rp,
    instance_uuid: instance,
  };
  const patch = Object.entries(paths).map(([path, value]) => ({
    op: "add",
    path: `/${path}`,
    value,
  }));
  const patches = Object.fromEntries(arqs.map(({ uuid }) => [uuid, patch]));
  await api("PATCH", "/v2/accelerator_requests", patches);
  for (;;) {
    const now = await ofInstance(api, instance);
    if (now.every(({ state }) => state === "Bound")) break;
    const failed = now.find(({ state }) => state === "BindFailed");
    if (failed !== undefined) throw new Error(`${failed.uuid} failed`);
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
  await api("DELETE", `/v2/accelerator_requests?instance=${instance}`);
  return { ms: performance.now() - begun };
}

async function ofInstance(api: Api, instance: string): Promise<readonly Arq[]> {
  const path = `/v2/accelerator_requests?instance=${instance}`;
  return (await api<{ arqs: readonly Arq[] }>("GET", path)).arqs;
}

/** Bound requests of other servers, straight into the table. */
async function seedRequests({ store }: Stage, count: number): Promise<readonly string[]> {
  const instances: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const now = store.now();
    const instance = randomUUID();
    const claim: Claim = {
      id: randomUUID(),
      project: headers["x-project-id"],
      user: "nova",
      state: "Bound",
      resourceClass: "CUSTOM_FPGA_INTEL_PF",
      profile: "bench",
      group: 0,
      asks: { required: [], forbidden: [] },
      provider: randomUUID(),
      hostName: "elsewhere",
      instance,
      createdAt: now,
      updatedAt: now,
    };
    instances.push(instance);
    await store.table.write(addClaim(claim));
  }
  return instances;
}

async function cycles(site: Site, held: number, short: boolean): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const clients of [1, 8]) {
    const count = (short ? 60 : 200) * (clients === 1 ? 1 : 2);
    const { perSecond, times } = await load(
      count,
      clients,
      async (index) => await cycle(site, index),
    );
    const { p50, p99 } = percentiles(times);
    const about = `${clients} clients, ${held} held`;
    const note = clients === 1 ? peer.one : peer.eight;
    figures.push(
      { name: `create, bind, get, delete: ${about}`, value: perSecond, unit: "cycles/s", note },
      { name: `… p50: ${about}`, value: p50, unit: "ms" },
      { name: `… p99: ${about}`, value: p99, unit: "ms" },
    );
  }
  return figures;
}

async function lists(
  api: Api,
  instances: readonly string[],
): Promise<{ readonly p50: number; readonly p99: number }> {
  const { times } = await load(200, 1, async (index) => {
    const begun = performance.now();
    const instance = instances[index % instances.length] ?? "";
    const found = await ofInstance(api, instance);
    if (found.length !== 1) throw new Error(`${found.length} of one request listed`);
    return { ms: performance.now() - begun };
  });
  return percentiles(times);
}

/** The cycle of one server with an accelerator, as Nova drives it, few and many requests held. */
export const accelerator: Benchmark = {
  name: "accelerator",
  about: "The life of an accelerator request over the API that Nova uses, on the offline cloud.",
  run: async (short) =>
    await onStage(async (stage) => {
      const site = await siteOf(stage);
      try {
        const [place] = site.places;
        const groups = [{ [`resources:${place?.resourceClass ?? ""}`]: "1" }];
        await site.api("POST", "/v2/device_profiles", [{ name: "bench", groups }]);
        await load(16, 4, async (index) => await cycle(site, index));
        const few = await seedRequests(stage, 20);
        const before = await lists(site.api, few);
        const empty = await cycles(site, 0, short);
        const held = short ? 1_000 : 5_000;
        const many = await seedRequests(stage, held);
        await stage.quiet();
        const after = await lists(site.api, many);
        const full = await cycles(site, held, short);
        return [
          ...empty,
          ...full,
          { name: "list by instance, 20 held, p50", value: before.p50, unit: "ms" },
          { name: `list by instance, ${held} held, p50`, value: after.p50, unit: "ms" },
          {
            name: `list by instance, ${held} held / 20 held`,
            value: after.p50 / before.p50,
            unit: "×",
            budget: { atMost: 1.5 },
            note: "Cyborg: 5.7 s at 5,000, 4 ms at none",
          },
        ];
      } finally {
        await Promise.all(site.hosts.map(async (host) => await host.stop()));
      }
    }),
};
