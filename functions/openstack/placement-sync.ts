import { isFault } from "#domain/faults";
import {
  isConcurrentUpdate,
  isInUse,
  isRefusal,
  PlacementRefusal,
} from "#openstack/placement/refusal";
import { providerId } from "#protocol/uuid";
import { readPlacement } from "#store/placement";
import { hostFacts, hostNameOf, type PlacementParts, wantedOf } from "./placement-parts.ts";
import { onePass, type Pass, type Passed } from "./placement-pass.ts";
import { trouble } from "./placement-record.ts";

/**
 * `same`: nothing had to be written. `waiting`: Placement is away, refuses, or does not know the host;
 * the clock tries again.
 */
export type Synced = "same" | "written" | "waiting";

/** Tries against other writers. */
const mostTries = 8;
const longestPauseMs = 500;

/**
 * Makes a host's providers in Placement what the table says, writing only differences. Placement is
 * read before the table and written at the generations seen then, and the table is read once more
 * after a write: of two writers the one that knew less either fails or goes on. May run at any time,
 * twice, and in any order. Only the table's own faults are thrown; whatever Placement will not do is
 * remembered in the host's record and tried again.
 */
export async function syncHost(parts: PlacementParts, host: string): Promise<Synced> {
  try {
    if (!(await parts.client.wire.isThere())) return "same";
    return await passes({ parts, host, strangers: new Set() });
  } catch (error) {
    const isRefused = error instanceof PlacementRefusal;
    if (!isRefused && !isFault(error, "OPENSTACK_UNAVAILABLE")) throw error;
    // A class or trait that is taken for known may have been removed.
    if (isRefused) parts.client.forgetNames();
    return await failed(parts, host, error.message);
  }
}

async function passes(pass: Pass): Promise<Synced> {
  const { store } = pass.parts;
  let hasWritten = false;
  for (let attempt = 0; attempt < mostTries; attempt += 1) {
    const passed = await passSafely(pass);
    if (passed === "absent") return await absent(pass);
    if (passed === "same" || passed === "written") return hasWritten ? "written" : passed;
    hasWritten ||= passed === "changed";
    if (passed === "again") {
      await store.sleep(store.random() * Math.min(20 * 2 ** attempt, longestPauseMs));
    }
  }
  return await failed(pass.parts, pass.host, "its providers are changed by others all the time");
}

async function passSafely(pass: Pass): Promise<Passed> {
  try {
    return await onePass(pass);
  } catch (error) {
    if (isRefusal(error, "placement.duplicate_name") && (await meetStrangers(pass))) return "again";
    if (isConcurrentUpdate(error) || isInUse(error) || isMoved(error)) return "again";
    throw error;
  }
}

/** Gone, or a parent by now: the tree is not what it was when it was read. */
function isMoved(error: unknown): boolean {
  if (!(error instanceof PlacementRefusal)) return false;
  return error.status === 404 || error.code === "placement.resource_provider.cannot_delete_parent";
}

/** A provider of our name is in another tree: it is looked for by uuid. False when that was done. */
async function meetStrangers({ parts, host, strangers }: Pass): Promise<boolean> {
  const facts = await hostFacts(parts.store, host);
  const wanted = wantedOf(parts, facts, []).map(({ name }) => providerId(name));
  const met = wanted.filter((uuid) => !strangers.has(uuid));
  for (const uuid of met) strangers.add(uuid);
  return met.length > 0;
}

async function absent({ parts, host }: Pass): Promise<Synced> {
  const hostName = (await hostNameOf(parts.store, host)) ?? host;
  const problem = `Placement has no provider named ${hostName} yet`;
  await trouble(parts, { host, hostName }, { state: "waiting", problem });
  return "waiting";
}

async function failed(parts: PlacementParts, host: string, problem: string): Promise<Synced> {
  const record = await readPlacement(parts.store, host);
  const hostName = (await hostNameOf(parts.store, host)) ?? record?.hostName ?? host;
  await trouble(parts, { host, hostName }, { state: "failed", problem });
  return "waiting";
}
