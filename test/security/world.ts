import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { Readable } from "node:stream";
import type { Deployable } from "#domain/deployable";
import type { Image } from "#domain/image";
import { type Manifest, signManifest } from "#protocol/images/manifest";
import { keyIdOf } from "#protocol/images/signing-key";
import { recordEvents } from "#store/events";
import { createProfile, putSigningKey, secret } from "#store/named";
import { openQuota } from "#store/quotas";
import { addReceipt, progressRow } from "#store/receipts";
import type { Item } from "#store/table";
import type { Bucket } from "../../functions/parts/bucket.ts";
import { addDevice } from "../accelerator/support.ts";
import {
  addClaimRow,
  addDeployable,
  addHost,
  addImageRow,
  heldHandle,
  idOf,
  start,
  type TestStore,
  testStore,
} from "../http/rows.ts";

/** Whose things are asked for, and who else asks for them. */
export const owner = "victim";
export const stranger = "stranger";

/** A host's key pair; the machine it is bound to is `a machine` (rows.ts). */
export interface AgentKey {
  readonly pem: string;
  readonly key: KeyObject;
}

export function agentKey(): AgentKey {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  return { pem: publicKey.export({ type: "spki", format: "pem" }).toString(), key: privateKey };
}

/** Key pairs cost more than everything else here; which ones they are does not matter. */
export interface Keys {
  readonly agent: AgentKey;
  readonly other: AgentKey;
  readonly signer: AgentKey;
}

export const makeKeys = (): Keys => ({
  agent: agentKey(),
  other: agentKey(),
  signer: agentKey(),
});

/** Ids by which the owner's things are asked for. */
export const ids = {
  host: idOf("node1"),
  idleHost: idOf("node2"),
  claim: idOf("victim-claim"),
  /** Initial, and Bound for an instance: accelerator requests. */
  arq: idOf("victim-arq"),
  boundArq: idOf("victim-bound-arq"),
  /** Of the bound request: Nova names its instances by uuid. */
  server: idOf("victim-server"),
  instance: "victim-instance",
  image: idOf("victim-image"),
  card: idOf("node1/port0"),
  freeCard: idOf("node1/port1"),
  device: idOf("node1/card"),
  idleDevice: idOf("node2/card"),
  idleCard: idOf("node2/port0"),
  profile: idOf("profile"),
} as const;

const sha256 = "5ec2e7".padEnd(64, "0");

/** Texts that no other tenant may read in any answer. */
export const secrets: readonly string[] = [
  owner,
  ids.claim,
  ids.arq,
  ids.boundArq,
  ids.server,
  ids.instance,
  ids.image,
  sha256,
];

/** A fleet with one tenant's things in it, and a bucket with its image. */
export interface World {
  readonly store: TestStore;
  readonly bucket: Bucket;
  readonly keys: Keys;
  readonly manifest: Manifest;
}

/** A bucket that knows the owner's object and signs URLs that name what they are for. */
function worldBucket(image: Pick<Image, "objectKey">): Bucket {
  const facts = { size: 10, etag: '"e"', version: "v1", metadata: {}, tags: {} };
  return {
    facts: async (key) => await Promise.resolve(key === image.objectKey ? facts : undefined),
    read: async () => await Promise.resolve(Readable.from([Buffer.alloc(10)])),
    pin: async () => await Promise.resolve("v1"),
    presignGet: async (key) => await Promise.resolve(`https://bucket.example/${key}`),
    presignPut: async (key) =>
      await Promise.resolve({ url: `https://bucket.example/${key}`, headers: {} }),
  };
}

/** Makes the world anew. */
export async function makeWorld(keys: Keys): Promise<World> {
  const store = testStore();
  const image = await addImageRow(store, "victim-image", {
    project: owner,
    name: "victim-bitstream",
    visibility: "private",
    objectKey: `images/${owner}/bitstream`,
    sha256,
  });
  await addFleet(store, keys);
  await addSettings(store, keys);
  await addHistory(store);
  return { store, bucket: worldBucket(image), keys, manifest: manifestOf(keys.signer) };
}

function manifestOf({ pem, key }: AgentKey): Manifest {
  const statement = {
    sha256,
    size: 10,
    vendor: "intel",
    type: "crypto",
    format: "gbs",
    interfaceId: idOf("interface"),
    functionId: idOf("function"),
  };
  return signManifest(statement, keyIdOf(createPublicKey(pem)), key);
}

const programmed = { functionId: idOf("function"), imageId: ids.image, sha256 };

/** node1: one region with the owner's claim, one with its bound request, one that is free; node2 is idle. */
async function addFleet(store: TestStore, keys: Keys): Promise<void> {
  const node1 = await addHost(store, "node1", { publicKey: keys.agent.pem });
  const node2 = await addHost(store, "node2", { publicKey: keys.other.pem });
  const wish = {
    image: { id: ids.image, sha256, functionId: idOf("function"), type: "crypto", keep: false },
  };
  const held = async (name: string, claim: string): Promise<Deployable> =>
    await addDeployable(store, node1, name, {
      handles: { pf: heldHandle(owner, claim) },
      loaded: programmed,
      wish,
      clean: false,
      lastProject: owner,
    });
  const region0 = await held("port0", ids.claim);
  const region2 = await held("port2", ids.boundArq);
  const region1 = await addDeployable(store, node1, "port1");
  const idle = await addDeployable(store, node2, "port0");
  await addDevice(store, node1, [region0, region1, region2]);
  await addDevice(store, node2, [idle]);
  const bound = { project: owner, host: node1.id, handle: "pf", fence: 2 };
  await addClaimRow(store, "victim-claim", {
    ...bound,
    deployable: region0.id,
    instance: ids.instance,
    image: ids.image,
    leaseSeconds: 600,
    leaseUntil: start + 600_000,
  });
  await addClaimRow(store, "victim-bound-arq", {
    ...bound,
    deployable: region2.id,
    instance: ids.server,
    hostName: node1.name,
    provider: idOf("provider"),
    profile: "dp1",
    group: 0,
  });
  await addClaimRow(store, "victim-arq", {
    project: owner,
    state: "Initial",
    profile: "dp1",
    group: 0,
    asks: { required: [], forbidden: [] },
    deadline: start + 3_600_000,
  });
}

async function addSettings(store: TestStore, keys: Keys): Promise<void> {
  const groups = [{ "resources:CUSTOM_FPGA_INTEL_PF": "1" }];
  for (const name of ["dp1", "unused"]) {
    const id = name === "unused" ? ids.profile : idOf(name);
    await createProfile(store, { id, name, description: "", groups, createdAt: start });
  }
  await putSigningKey(store, {
    id: keyIdOf(createPublicKey(keys.signer.pem)),
    name: "signer",
    publicKey: keys.signer.pem,
    createdAt: start,
  });
  for (const project of [owner, stranger]) {
    await openQuota(store, { project, resourceClass: "CUSTOM_FPGA_INTEL_PF" }, 8);
  }
  const pair = generateKeyPairSync("ed25519").privateKey;
  await secret(store, "join-token", () => "m".repeat(43));
  await secret(store, "permit", () => pair.export({ type: "pkcs8", format: "pem" }).toString());
}

/** What the owner's programming left: operation, receipt and events. */
async function addHistory(store: TestStore): Promise<void> {
  const generation = 4;
  const body = {
    deployable: ids.card,
    number: 1,
    previous: "0".repeat(64),
    kind: "program" as const,
    imageGeneration: generation,
    sha256,
    functionId: idOf("function"),
    fences: { pf: 2 },
    bootId: idOf("boot"),
    at: start,
  };
  const progress = progressRow({
    deployable: ids.card,
    generation,
    kind: "program",
    image: ids.image,
    claim: ids.claim,
    project: owner,
    phase: "ready",
    percent: 100,
    state: "succeeded",
    startedAt: start,
    updatedAt: start,
  });
  await store.table.write([
    addReceipt({ body, signature: "s", digest: "d".repeat(64) }),
    { kind: "put", item: progress },
  ]);
  for (const [index, item] of store.table.items().entries()) {
    await recordEvents(store, {
      id: `made-${index}`,
      at: start,
      before: undefined,
      after: item,
    });
  }
}

/** The same rows in a table of their own: making them anew costs ten times as much. */
export async function copyOf(world: World): Promise<World> {
  const store = testStore();
  for (const item of world.store.table.items()) {
    await store.table.write([{ kind: "put", item: item as Item & { pk: string; sk: string } }]);
  }
  return { ...world, store };
}
