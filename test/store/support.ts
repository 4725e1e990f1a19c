import type { Deployable } from "#domain/deployable";
import { type FaultCode, isFault } from "#domain/faults";
import type { Beat } from "#domain/host";
import type { ActiveImage } from "#domain/image";
import { deployableRow } from "#store/deployables";
import type { GrantGroup, GrantRequest } from "#store/grant";
import { beatRow } from "#store/hosts";
import { addImage } from "#store/images";
import { memoryTable } from "#store/memory-table";
import { openQuota } from "#store/quotas";
import type { Store } from "#store/store";
import type { Table, Write } from "#store/table";
import { crypto, deployable, handle, image, requirement, uuid } from "../domain/builders.ts";

export const startedAt = 1_700_000_000_000;
export const pf = "CUSTOM_FPGA_INTEL_PF";

/** A store whose clock moves only by sleeping or by hand, and whose randomness repeats. */
export interface TestStore extends Store {
  readonly clock: { now: number };
}

export function newStore(table: Table = memoryTable()): TestStore {
  const clock = { now: startedAt };
  let seed = 7;
  return {
    table,
    clock,
    now: () => clock.now,
    random: () => {
      seed = (seed * 48_271) % 0x7fff_ffff;
      return seed / 0x7fff_ffff;
    },
    sleep: async (ms) => {
      clock.now += Math.ceil(ms);
    },
  };
}

async function writeAll(table: Table, writes: readonly Write[]): Promise<void> {
  for (let at = 0; at < writes.length; at += 100) await table.write(writes.slice(at, at + 100));
}

/** Heartbeats of these hosts, heard just now unless `facts` say otherwise. */
export async function putHosts(
  store: Store,
  hosts: Iterable<string>,
  facts: Partial<Beat> = {},
): Promise<void> {
  const beats = [...new Set(hosts)].map((host): Write => {
    const beat = { host, state: "online" as const, epoch: 1, seenAt: store.now(), ...facts };
    return { kind: "put", item: beatRow(beat) };
  });
  await writeAll(store.table, beats);
}

/** Deployables with heartbeats of their hosts and an open quota of p1 for each of their classes. */
export async function putFleet(
  store: Store,
  fleet: readonly Deployable[],
  quota = 1000,
): Promise<void> {
  const rows = fleet.map((one): Write => ({ kind: "put", item: deployableRow(one) }));
  await writeAll(store.table, rows);
  await putHosts(
    store,
    fleet.map((one) => one.host),
  );
  for (const resourceClass of new Set(fleet.map((one) => one.resourceClass))) {
    await openQuota(store, { project: "p1", resourceClass }, quota);
  }
}

/** `count` idle cards, `perHost` on each host. */
export function cards(
  count: number,
  perHost = 8,
  facts: (index: number) => Partial<Deployable> = () => ({}),
): readonly Deployable[] {
  return Array.from({ length: count }, (_, index) =>
    deployable({
      id: uuid(index + 1),
      host: uuid(10_000 + Math.floor(index / perHost)),
      ...facts(index),
    }),
  );
}

/** One card with `count` free VFs. */
export function withHandles(count: number, facts: Partial<Deployable> = {}): Deployable {
  const names = Array.from({ length: count }, (_, index) => `vf${index}`);
  const handles = Object.fromEntries(
    names.map((name, index) => [name, handle({ type: "VF", address: `0000:5e:00.${index}` })]),
  );
  return deployable({ handles, sharing: "any", host: uuid(10_000), ...facts });
}

export async function putImage(
  store: Store,
  facts: Partial<ActiveImage> = {},
): Promise<ActiveImage> {
  const one = image(facts);
  await store.table.write([addImage(one)]);
  return one;
}

/** A group that asks for `count` PFs, with this image if any. */
export function group(
  count = 1,
  wanted?: ActiveImage,
  need: Parameters<typeof requirement>[0] = {},
): GrantGroup {
  const resolved = wanted === undefined ? {} : { image: { ...crypto, ...wanted } };
  return { count, need: requirement({ ...resolved, ...need }), image: wanted };
}

/** Request number `number`, whose claims have ids of their own. */
export function request(
  number: number,
  groups: readonly GrantGroup[] = [group()],
  facts: Partial<GrantRequest> = {},
): GrantRequest {
  const count = groups.reduce((sum, one) => sum + one.count, 0);
  const claimIds = Array.from({ length: count }, (_, index) =>
    uuid(1_000_000 + number * 100 + index),
  );
  return {
    project: "p1",
    user: "u1",
    claimIds,
    groups,
    once: { id: `once-${number}`, body: `body-${number}` },
    bindDeadlineMs: 180_000,
    defaultQuota: 1000,
    ...facts,
  };
}

/** The code of the Fault that a promise was rejected with. */
export async function refusal(promise: Promise<unknown>): Promise<FaultCode> {
  try {
    await promise;
  } catch (error) {
    if (isFault(error)) return error.code;
    throw error;
  }
  throw new Error("it was not refused");
}
