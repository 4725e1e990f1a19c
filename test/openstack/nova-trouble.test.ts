import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, expect, test } from "vitest";
import type { ImageView } from "#protocol/http/images";
import type { QuotaView } from "#protocol/http/settings";
import { releaseOrphans } from "../../functions/openstack/orphans.ts";
import { openstackFrom } from "../../functions/parts/openstack.ts";
import { storeFrom } from "../../functions/parts/store.ts";
import type { SimulatedHost } from "../../localstack/hosts/simulated-host.ts";
import { keptCredentials } from "../../localstack/settings.ts";
import { cryptoGbs } from "../../localstack/tour/bitstreams.ts";
import { until } from "../../localstack/tour/steps.ts";
import { type Gatehouse, gatehouseSettings, joinStack, startGatehouse } from "./gatehouse.ts";
import { bootImage, type Servers, serversOf } from "./servers.ts";
import { freePort } from "./services/process.ts";
import { type Relay, startRelay } from "./services/relay.ts";
import { type SharedStack, sharedStack } from "./shared.ts";

const intel = "CUSTOM_FPGA_INTEL_VF";
const region = "69528db6-eb31-577a-9926-ab6d6c925a68";
const root = join(import.meta.dirname, "../..");

let stack: SharedStack;
let bootDisk: string;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  stack = await sharedStack();
  bootDisk = await bootImage(stack, await stack.catalog.token());
});

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

/** What every scenario has: one Intel card of two functions, an image for it and a flavor for that. */
interface Scene {
  readonly gatehouse: Gatehouse;
  readonly host: SimulatedHost;
  readonly servers: Servers;
  readonly image: ImageView;
  readonly flavor: string;
}

async function sceneOf(gatehouse: Gatehouse, speed?: number): Promise<Scene> {
  const host = await gatehouse.addHost(stack.where.computeName, { dfl: 1 }, speed);
  const image = await gatehouse.upload(cryptoGbs(region));
  const servers = serversOf(stack, gatehouse.token, bootDisk);
  const flavor = await gatehouse.flavor({
    [`resources:${intel}`]: "1",
    "accel:bitstream_id": image.id,
  });
  closing.push(servers.removeAll);
  await gatehouse.placed(intel, 2);
  return { gatehouse, host, servers, image, flavor };
}

/** Nova comes to the cloud through a relay that keeps what it asked. */
async function relayTo(url: string): Promise<Relay> {
  const relay = await startRelay(url);
  closing.push(relay.stop);
  await stack.catalog.endpoint("accelerator", `${relay.url}/accelerator/v2`);
  return relay;
}

/** Before its first look Nova gives up when we are away; after it, it waits for our event. */
async function novaWaits({ seen }: Relay, server: string): Promise<void> {
  const look = `GET /accelerator/v2/accelerator_requests?instance=${server} 200`;
  await until("Nova to wait", async () => seen.includes(look) || undefined);
}

async function nothingHeld({ api, arqs }: Gatehouse): Promise<void> {
  expect(await arqs()).toEqual([]);
  const { items } = await api<{ items: QuotaView[] }>("GET", "/v1/quotas");
  expect(items.filter(({ used }) => used > 0)).toEqual([]);
}

test("a server whose card cannot be programmed is told so at once and leaves nothing behind", async () => {
  const gatehouse = await startGatehouse(stack);
  closing.push(gatehouse.close);
  // Slow enough for Nova to wait before the first try has failed.
  const { host, servers, flavor } = await sceneOf(gatehouse, 1);
  const { kernel } = host;
  for (const card of kernel.snapshot().cards) {
    // The agent tries twice; what it does afterwards to bring the card back may work.
    for (const { key } of card.regions) await kernel.failNext(card.id, key, "crc", 2);
  }
  const began = Date.now();
  const id = await servers.boot(flavor);
  const { status, fault } = await servers.ended(id);
  expect(Date.now() - began).toBeLessThan(10_000);
  expect(status).toBe("ERROR");
  expect(fault?.message).toMatch(/accelerator/i);
  await until("no request left", async () =>
    (await gatehouse.arqs()).length === 0 ? true : undefined,
  );
  await nothingHeld(gatehouse);
  await servers.remove(id);
  // An erase brought the card back.
  await gatehouse.placed(intel, 2);
  expect(gatehouse.failures).toEqual([]);
}, 60_000);

test("a server that is deleted in the middle of its bind leaves nothing behind", async () => {
  const gatehouse = await startGatehouse(stack);
  closing.push(gatehouse.close);
  const relay = await relayTo(gatehouse.cloud.url);
  const { servers, flavor } = await sceneOf(gatehouse, 0.5);
  const id = await servers.boot(flavor);
  await novaWaits(relay, id);
  expect((await gatehouse.deployables()).map(({ state }) => state)).toContain("programming");
  await servers.remove(id);
  await nothingHeld(gatehouse);
  await gatehouse.placed(intel, 2);
  expect(gatehouse.failures).toEqual([]);
}, 120_000);

test("requests of servers that Nova does not know are released, those of others are kept", async () => {
  const gatehouse = await startGatehouse(stack);
  closing.push(gatehouse.close);
  const { servers, flavor } = await sceneOf(gatehouse);
  const id = await servers.boot(flavor);
  await servers.settled(id, "ACTIVE");
  const [kept] = await gatehouse.arqs(id);
  const profile = await gatehouse.profile([{ [`resources:${intel}`]: "1" }]);
  const lost = await gatehouse.bind(profile, {
    hostname: stack.where.computeName,
    device_rp_uuid: kept?.device_rp_uuid ?? "",
    instance_uuid: randomUUID(),
  });
  await until(
    "both to be bound",
    async () => (await gatehouse.arqs()).every(({ state }) => state === "Bound") || undefined,
  );
  const { environment } = gatehouse;
  const openstack = openstackFrom(environment);
  if (openstack === undefined) throw new Error("no cloud is configured");
  const heard: string[] = [];
  const passAt = async (aheadMs: number) =>
    await releaseOrphans({
      store: { ...storeFrom(environment), now: () => Date.now() + aheadMs },
      openstack,
      log: (message) => heard.push(message),
    });
  expect(await passAt(0)).toBe(0);
  expect(await passAt(11 * 60_000)).toBe(1);
  expect(heard).toEqual([expect.stringContaining(lost)]);
  expect(await gatehouse.arqs()).toEqual([kept]);
  await servers.remove(id);
  await nothingHeld(gatehouse);
}, 120_000);

test("Nova hears of a bind that ended while it could not be reached", async () => {
  const relay = await startRelay(stack.where.novaUrl.replace(/\/v2\.1$/, ""));
  closing.push(relay.stop);
  const gatehouse = await startGatehouse(stack, { NOVA_ENDPOINT: `${relay.url}/v2.1` });
  closing.push(gatehouse.close);
  const { servers, flavor } = await sceneOf(gatehouse, 0.5);
  relay.cut(true);
  const id = await servers.boot(flavor);
  await until("the request to be bound", async () => {
    const [arq] = await gatehouse.arqs(id);
    return arq?.state === "Bound" || undefined;
  });
  relay.cut(false);
  await until(
    "the server to run",
    async () => {
      return (await servers.show(id))?.status === "ACTIVE" || undefined;
    },
    90_000,
  );
  await servers.remove(id);
  await nothingHeld(gatehouse);
}, 180_000);

test("a cloud that is killed in the middle of a bind goes on with it when it is back", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "gatehouse-test-"));
  closing.push(async () => await rm(dataDir, { recursive: true, force: true }));
  const port = await freePort();
  let cloud = await startedCloud(dataDir, port);
  closing.push(async () => await ended(cloud, "SIGTERM"));
  const place = {
    url: `http://127.0.0.1:${port}`,
    bucketUrl: `http://127.0.0.1:${port + 1}`,
    bucket: "gatehouse-images",
    region: "us-east-1",
  };
  const credentials = keptCredentials(dataDir);
  const gatehouse = await joinStack(stack, place, { dataDir, credentials });
  closing.push(gatehouse.close);
  const relay = await relayTo(place.url);
  // A fifth of a real card's speed: the kill falls into the four seconds of the program.
  const { servers, flavor, image } = await sceneOf(gatehouse, 0.2);
  const id = await servers.boot(flavor);
  await novaWaits(relay, id);
  expect((await gatehouse.deployables()).map(({ state }) => state)).toContain("programming");
  await ended(cloud, "SIGKILL");
  cloud = await startedCloud(dataDir, port);
  await servers.settled(id, "ACTIVE");
  const [arq] = await gatehouse.arqs(id);
  expect(arq?.state).toBe("Bound");
  const loaded = (await gatehouse.deployables()).map((one) => one.loaded.functionId);
  expect(loaded).toContain(image.functionId);
  await servers.remove(id);
  await nothingHeld(gatehouse);
  await gatehouse.placed(intel, 2);
}, 120_000);

/** The offline cloud as a process of its own, without simulated hosts; ready. */
async function startedCloud(dataDir: string, port: number): Promise<ChildProcess> {
  const env = {
    ...process.env,
    ...gatehouseSettings(stack),
    GATEHOUSE_PORT: String(port),
    GATEHOUSE_DATA: dataDir,
    GATEHOUSE_SIMULATED_HOSTS: "0",
  };
  const child = spawn(process.execPath, ["localstack/main.ts", "--no-tour"], {
    cwd: root,
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout?.on("data", (chunk: Buffer) => {
      if (chunk.toString().includes("gatehouse ready")) resolve();
    });
    child.once("close", (code) => reject(new Error(`the cloud ended with ${code}`)));
  });
  return child;
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = new Promise((resolve) => child.once("close", resolve));
  child.kill(signal);
  await closed;
}
