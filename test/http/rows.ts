import type { Claim } from "#domain/claim";
import type { Deployable, Handle } from "#domain/deployable";
import type { Host } from "#domain/host";
import type { Image } from "#domain/image";
import { uuidOf } from "#protocol/uuid";
import { addClaim } from "#store/claims";
import { deployableRow } from "#store/deployables";
import { beatRow, createHost } from "#store/hosts";
import { addImage } from "#store/images";
import { type MemoryTable, memoryTable } from "#store/memory-table";
import type { Store } from "#store/store";

/** 2026-01-01T00:00:00Z */
export const start = 1_767_225_600_000;

/** A store over a table in memory, with a clock that stands still until it is moved. */
export interface TestStore extends Store {
  readonly table: MemoryTable;
  readonly pass: (ms: number) => void;
}

export function testStore(): TestStore {
  let at = start;
  return {
    table: memoryTable(),
    now: () => at,
    random: () => 0.5,
    sleep: async () => undefined,
    pass: (ms) => {
      at += ms;
    },
  };
}

/** An id that is the same for the same name in every run. */
export const idOf = (name: string): string => uuidOf("test", name);

/** A host with its heartbeat; online in session 3 unless said otherwise. */
export async function addHost(
  store: Store,
  name: string,
  facts: Partial<Host> & { readonly connection?: string } = {},
): Promise<Host> {
  const { connection, ...own } = facts;
  const host: Host = {
    id: idOf(name),
    name,
    state: "online",
    publicKey: "a key",
    machine: "a machine",
    revoked: false,
    agentVersion: "0.1.0",
    bootId: idOf("boot"),
    createdAt: store.now(),
    updatedAt: store.now(),
    revision: 0,
    ...own,
  };
  await createHost(store, host, []);
  const state = host.state === "online" ? "online" : "offline";
  const beat = { host: host.id, state, epoch: 3, seenAt: store.now(), connection } as const;
  await store.table.write([{ kind: "put", item: beatRow(beat) }]);
  return host;
}

/** A handle of a PF; free unless said otherwise. */
export function handleOf(facts: Partial<Handle> = {}): Handle {
  return {
    type: "PF",
    address: "0000:3b:00.0",
    attachable: true,
    fence: 1,
    state: "free",
    plugged: false,
    ...facts,
  };
}

/** A handle that a claim of `project` holds. */
export function heldHandle(project: string, claim: string, facts: Partial<Handle> = {}): Handle {
  return handleOf({
    fence: 2,
    state: "claimed",
    holder: { claim, project, binding: false },
    ...facts,
  });
}

/** A deployable of `host` in the table; idle, clean and on offer unless said otherwise. */
export async function addDeployable(
  store: Store,
  host: Pick<Host, "id" | "name">,
  name: string,
  facts: Partial<Deployable> = {},
): Promise<Deployable> {
  const deployable: Deployable = {
    id: idOf(`${host.name}/${name}`),
    host: host.id,
    hostName: host.name,
    device: idOf(`${host.name}/card`),
    cardId: "serial-1",
    region: name,
    kind: "FPGA",
    vendor: "intel",
    product: "n3000",
    driver: "simulated",
    layout: "regions",
    address: "0000:3b:00.0",
    resourceClass: "CUSTOM_FPGA_INTEL_PF",
    traits: ["CUSTOM_FPGA", "CUSTOM_HW_INTEL"],
    interfaceId: idOf("interface"),
    programmable: true,
    scrubMethod: "erase",
    sharing: "none",
    present: true,
    hostOnline: true,
    enabled: true,
    health: { state: "ok" },
    loaded: { functionId: null },
    clean: true,
    bootId: idOf("boot"),
    revision: 1,
    imageGeneration: 4,
    wish: {},
    outcome: { generation: 4, result: "ready" },
    phase: "idle",
    reported: { epoch: 1, seq: 1 },
    handles: { pf: handleOf() },
    updatedAt: store.now(),
    ...facts,
  };
  await store.table.write([{ kind: "put", item: deployableRow(deployable) }]);
  return deployable;
}

/** An image in the table; active, public and compatible unless said otherwise. */
export async function addImageRow(
  store: Store,
  name: string,
  facts: Partial<Image> = {},
): Promise<Image> {
  const image: Image = {
    id: idOf(name),
    project: "p1",
    name,
    vendor: "intel",
    type: "crypto",
    visibility: "public",
    state: "active",
    objectKey: `images/p1/${name}`,
    size: 10,
    sha256: "a".repeat(64),
    md5: "b".repeat(32),
    format: "gbs",
    interfaceId: idOf("interface"),
    functionId: idOf("function"),
    verifiedKey: "verified/a",
    createdAt: store.now(),
    updatedAt: store.now(),
    revision: 0,
    ...facts,
  };
  await store.table.write([addImage(image)]);
  return image;
}

/** A Bound claim in the table. */
export async function addClaimRow(
  store: Store,
  name: string,
  facts: Partial<Claim> = {},
): Promise<Claim> {
  const claim: Claim = {
    id: idOf(name),
    project: "p1",
    user: "u1",
    state: "Bound",
    resourceClass: "CUSTOM_FPGA_INTEL_PF",
    createdAt: store.now(),
    updatedAt: store.now(),
    ...facts,
  };
  await store.table.write(addClaim(claim));
  return claim;
}

/** What the routes of OpenStack work with where no cloud is configured. */
export function withoutCloud(store: Store) {
  const none = { openstack: undefined, cyborg: undefined };
  return { store, ...none, glance: "off", shape: "pool", defaultQuota: 8 } as const;
}
