import { type Deployable } from "#domain/deployable";
import { enrol, type FoundDeployable, type FoundDevice } from "#domain/enrol";
import { Fault } from "#domain/faults";
import type { Device, Host } from "#domain/host";
import { sameContent } from "#domain/same";
import { mark } from "#domain/transitions";
import { joinCardLock, readCardLock } from "#store/card-lock";
import { changeDeployable, deployableRow, deployablesOf, readDeployable } from "#store/deployables";
import { absent } from "#store/expression";
import { deviceKey, listShards, partKey, shardOf } from "#store/keys";
import { type List, listShardsOf, type Wanted } from "#store/lists";
import { expiry, isExpired, rowOf, valueOf, valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import type { Item, Key, Page, Write } from "#store/table";

/** A card of a complete inventory, with the id its rows get. */
export interface FoundCard extends FoundDevice {
  readonly id: string;
  readonly pciVendor: string;
  readonly pciDevice: string;
  readonly deployables: readonly FoundDeployable[];
}

/** Parts wait this long for the others. */
const partLifeMs = 600_000;

/** Keeps one part and returns all parts of its inventory when they are complete. */
export async function collectParts(
  store: Store,
  part: {
    readonly host: string;
    readonly id: string;
    readonly part: number;
    readonly of: number;
    readonly devices: readonly object[];
  },
): Promise<readonly object[] | undefined> {
  if (part.of === 1) return part.devices;
  const item = rowOf(
    partKey(part.host, part.id, part.part),
    "part",
    { devices: part.devices },
    { expiresAt: expiry(store.now(), partLifeMs) },
  );
  await store.table.write([{ kind: "put", item }]);
  const keys = Array.from({ length: part.of }, (_, index) => partKey(part.host, part.id, index));
  const rows = await store.table.getMany(keys);
  // Expired means absent: DynamoDB may remove a row much later.
  if (rows.some((row) => row === undefined || isExpired(row, store.now()))) return undefined;
  return rows.flatMap((row) =>
    row === undefined ? [] : valueOf<{ readonly devices: readonly object[] }>(row).devices,
  );
}

/**
 * Makes the table agree with a complete inventory: new rows, changed facts, tombstones for what is
 * missing. Every row is its own conditional write, so one conflict never holds up the others;
 * applying the same inventory again changes nothing.
 */
export async function applyInventory(
  store: Store,
  host: Host,
  cards: readonly FoundCard[],
): Promise<void> {
  const online = host.state === "online";
  const known = new Map((await deployablesOf(store, host.id)).map((one) => [one.id, one]));
  const devices = new Map((await devicesOf(store, host.id)).map((one) => [one.id, one]));
  for (const card of cards) {
    const before = devices.get(card.id);
    const createdAt = before?.createdAt ?? store.now();
    await putDevice(store, { ...deviceOf(host, card, store.now()), createdAt }, before);
    for (const found of card.deployables) {
      const finder = { host: host.id, hostName: host.name, device: card.id, online };
      await enrolOne(store, found, { finder, device: card });
    }
  }
  const seen = new Set(cards.flatMap((card) => card.deployables.map((one) => one.id)));
  for (const [id, one] of known) {
    if (!seen.has(id) && one.present) await vanish(store, one);
  }
  const found = new Set(cards.map((card) => card.id));
  for (const device of devices.values()) {
    if (!found.has(device.id)) {
      await putDevice(store, { ...device, present: false, updatedAt: store.now() }, device);
    }
  }
}

/** A new row is put under the lock of its card as it is at that moment, or an operation misses it. */
async function enrolOne(
  store: Store,
  found: FoundDeployable,
  facts: Parameters<typeof enrol>[2],
): Promise<void> {
  const { host } = facts.finder;
  if ((await readDeployable(store, host, found.id)) === undefined) {
    if (await enrolNew(store, found, facts)) return;
  }
  await changeDeployable(store, { host, id: found.id }, (one) =>
    enrol(one, found, facts, store.now()),
  );
}

/** False when the row is there by now. */
async function enrolNew(
  store: Store,
  found: FoundDeployable,
  { finder, device }: Parameters<typeof enrol>[2],
): Promise<boolean> {
  for (let attempt = 0; attempt < 6; attempt += 1) {
    const lock = await readCardLock(store, finder.host, finder.device);
    const facts = { finder: { ...finder, cardOperation: lock?.operation.id }, device };
    const item = deployableRow(enrol(undefined, found, facts, store.now()));
    const put: Write = { kind: "put", item, if: absent("pk") };
    const result = await store.table.write([put, joinCardLock(finder, lock)]);
    if (result.ok) return true;
    if (result.failures[0]?.reason === "condition") return false;
    await store.sleep(store.random() * 10 * 2 ** attempt);
  }
  throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
}

async function vanish(store: Store, gone: Deployable): Promise<void> {
  await changeDeployable(store, gone, (one) => mark(one, { present: false }, store.now()));
}

function deviceRow(device: Device): Item & Key {
  return rowOf(deviceKey(device.host, device.id), "device", device, {
    gsi2pk: `DEVICES#${shardOf(device.id, listShards)}`,
    gsi2sk: device.id,
  });
}

/** Writes a card unless nothing of it changed but the time. */
async function putDevice(store: Store, device: Device, known: Device | undefined): Promise<void> {
  if (sameContent({ ...device, updatedAt: 0 }, { ...known, updatedAt: 0 })) return;
  await store.table.write([{ kind: "put", item: deviceRow(device) }]);
}

/** Every card of a host, vanished ones included, consistently read. */
async function devicesOf(store: Store, host: string): Promise<readonly Device[]> {
  const found: Device[] = [];
  let after: string | undefined;
  do {
    const page: Page = await store.table.query({
      pk: `HOST#${host}`,
      sk: { beginsWith: "DEV#" },
      consistent: true,
      ...(after === undefined ? {} : { after }),
    });
    found.push(...page.items.map((item) => valueOf<Device>(item)));
    after = page.next;
  } while (after !== undefined);
  return found;
}

function deviceOf(host: Host, card: FoundCard, now: number): Device {
  const { deployables, ...facts } = card;
  return {
    id: facts.id,
    host: host.id,
    hostName: host.name,
    cardId: facts.cardId,
    kind: facts.kind,
    vendor: facts.vendor,
    product: facts.product,
    pciVendor: facts.pciVendor,
    pciDevice: facts.pciDevice,
    address: facts.address,
    numaNode: facts.numaNode,
    driver: facts.driver,
    layout: facts.layout,
    present: true,
    deployables: deployables.map((one) => one.id),
    updatedAt: now,
  };
}

/** Cards by id. */
export async function listDevices(
  store: Store,
  keep: (device: Device) => boolean,
  wanted: Wanted,
): Promise<List<Device>> {
  const entry = (item: Item) => {
    const device = valueOf<Device>(item);
    return keep(device) ? device : undefined;
  };
  const shards = { index: "gsi2", prefix: "DEVICES#", shards: listShards, entry } as const;
  return await listShardsOf(store, shards, wanted);
}

/** One card by id; undefined when there is none. */
export async function findDevice(store: Store, id: string): Promise<Device | undefined> {
  const page = await store.table.query({
    index: "gsi2",
    pk: `DEVICES#${shardOf(id, listShards)}`,
    sk: { from: id, to: id },
    limit: 1,
  });
  return valueOrUndefined<Device>(page.items[0]);
}
