import { advance, type CardOperation, overdue } from "#domain/card";
import { type Claim, isWaiting, silentAfterMs } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import { isFault } from "#domain/faults";
import type { Beat, Host } from "#domain/host";
import { hostLifecycle, next } from "#domain/lifecycle";
import { mark } from "#domain/transitions";
import { endOperation } from "#store/cards";
import { readClaim } from "#store/claims";
import { changeDeployable, deployablesOf, isOwed, repushMs } from "#store/deployables";
import { dueRows, owedRows } from "#store/due";
import { eq, set } from "#store/expression";
import { refreshFleetSize } from "#store/fleet-size";
import { beatOf, beatUnchanged, changeHost, readBeat, replaceBeat } from "#store/hosts";
import { deployableKey, due } from "#store/keys";
import { failOverdue, releaseOverdue } from "#store/release";
import { valueOf } from "#store/rows";
import type { Store } from "#store/store";
import type { Item } from "#store/table";
import { type Create, entry } from "../entry.ts";
import { assign } from "../parts/binding.ts";
import { bindingFrom } from "../parts/binding-from.ts";
import { bucketFrom } from "../parts/bucket.ts";
import { pushFrom } from "../parts/push.ts";
import { type Dispatching, dispatch } from "./table-changed.ts";

/** What a sweep did, for its log line and for tests. */
export interface Swept {
  readonly silentHosts: number;
  readonly missedDeadlines: number;
  readonly endedLeases: number;
  readonly pushedAgain: number;
  readonly overdueOperations: number;
  readonly failures: number;
}

type Outcome = keyof Swept | undefined;

/** Rows of one list that are settled at a time: a sweep has to be done before the next. */
const lanes = 16;

/** What the sweep acts with. */
export interface Sweeping extends Dispatching {
  /** Looks once more for a card for a claim that waits for one. */
  readonly assign: (claim: Claim) => Promise<Claim>;
}

/**
 * Settles every obligation that is due: silent hosts, binding deadlines, leases, card
 * operations, wishes whose push was lost. Each row on its own, so one that fails never holds up the
 * others; it stays due. Then counts the fleet, when that is due.
 */
export async function sweep(sweeping: Sweeping): Promise<Swept> {
  const swept = {
    silentHosts: 0,
    missedDeadlines: 0,
    endedLeases: 0,
    pushedAgain: 0,
    overdueOperations: 0,
    failures: 0,
  };
  const settleOne = async (item: Item) => {
    const outcome = await settleSafely(sweeping, item);
    if (outcome !== undefined) swept[outcome] += 1;
  };
  // Side by side: a rack that lost its power holds up no deadline.
  await inLanes([silentBeats(sweeping.store), dueRows(sweeping.store)], settleOne);
  if (!(await countSafely(sweeping.store))) swept.failures += 1;
  return swept;
}

/** Takes each list in its order, some rows at a time; what is under way ends also when a list breaks. */
async function inLanes(
  lists: readonly AsyncGenerator<Item>[],
  act: (item: Item) => Promise<void>,
): Promise<void> {
  const work = lists.flatMap((list) =>
    Array.from({ length: lanes }, async () => {
      for (let one = await list.next(); one.done !== true; one = await list.next()) {
        await act(one.value);
      }
    }),
  );
  const failed = (await Promise.allSettled(work)).find(({ status }) => status === "rejected");
  if (failed?.status === "rejected") throw failed.reason;
}

/** Last, and no reason to fail: an older count serves as well. */
async function countSafely(store: Store): Promise<boolean> {
  try {
    await refreshFleetSize(store);
    return true;
  } catch (error) {
    console.error(error);
    return false;
  }
}

/** Heartbeats of hosts that were not heard for too long, or whose withdrawal is unfinished. */
async function* silentBeats(store: Store): AsyncGenerator<Item> {
  for await (const item of owedRows(store, "BEAT")) {
    if (!isHeard(store, beatOf(item))) yield item;
  }
}

function isHeard(store: Store, { state, seenAt, withdrawing }: Beat): boolean {
  return state === "offline" ? withdrawing !== true : seenAt + silentAfterMs > store.now();
}

async function settleSafely(sweeping: Sweeping, item: Item): Promise<Outcome> {
  try {
    return await settle(sweeping, item);
  } catch (error) {
    // Ended by someone else between the look and the act: nothing is owed any more.
    if (isFault(error, "UNKNOWN_CLAIM") || isFault(error, "UNKNOWN_DEPLOYABLE")) return undefined;
    console.error(error);
    return "failures";
  }
}

async function settle(sweeping: Sweeping, item: Item): Promise<Outcome> {
  const type = item["type"];
  switch (typeof type === "string" ? type : "") {
    case "beat":
      return await silence(sweeping.store, beatOf(item).host);
    case "claim":
      return await settleClaim(sweeping, valueOf<Claim>(item).id);
    case "deployable":
      return await pushAgain(sweeping, valueOf<Deployable>(item));
    case "card":
      return await giveUpCard(sweeping.store, valueOf<CardOperation>(item));
    default:
      return undefined;
  }
}

/** An operation past its deadline has failed; whatever its agent still does is proven anew. */
async function giveUpCard(store: Store, operation: CardOperation): Promise<Outcome> {
  const now = store.now();
  const ended = await endOperation(store, operation, (one) =>
    one.deadline > now ? undefined : advance(one, "fail", { now, error: overdue(one) }),
  );
  return ended === undefined ? undefined : "overdueOperations";
}

/**
 * A host that missed four pings is silent: nothing of it is offered until its next hello. Its
 * heartbeat stays due until the last of its rows says so; a hello that comes between ends this.
 */
async function silence(store: Store, host: string): Promise<Outcome> {
  const beat = await readBeat(store, host);
  if (isHeard(store, beat)) return undefined;
  const silent: Beat = { ...beat, state: "offline", withdrawing: true };
  if (beat.state !== "offline" && !(await replaceBeat(store, beat, silent))) return undefined;
  try {
    await withdrawSilent(store, silent);
  } catch (error) {
    if ((await readBeat(store, host)).epoch !== beat.epoch) return undefined;
    throw error;
  }
  const { withdrawing: _withdrawing, ...settled } = silent;
  await replaceBeat(store, silent, settled);
  return "silentHosts";
}

async function withdrawSilent(store: Store, silent: Beat): Promise<void> {
  const still = [beatUnchanged(silent)];
  const silenced = (known: Host): Host => {
    const state = next(hostLifecycle, known.state, "silent");
    return state === undefined || state === known.state ? known : { ...known, state };
  };
  await changeHost(store, silent.host, silenced, still);
  for (const one of await deployablesOf(store, silent.host)) {
    const offline = (now: Deployable) => mark(now, { hostOnline: false }, store.now());
    await changeDeployable(store, one, offline, () => still);
  }
}

async function settleClaim({ store, assign }: Sweeping, id: string): Promise<Outcome> {
  const claim = await readClaim(store, id);
  if (claim === undefined) return undefined;
  const now = store.now();
  if (claim.leaseUntil !== undefined && claim.leaseUntil <= now) {
    return (await releaseOverdue(store, claim)) ? "endedLeases" : undefined;
  }
  if (claim.deadline === undefined || claim.deadline > now) {
    if (isWaiting(claim)) await assign(claim);
    return undefined;
  }
  if (claim.state === "Initial" || claim.state === "Unbound") {
    return (await releaseOverdue(store, claim)) ? "missedDeadlines" : undefined;
  }
  await failOverdue(store, claim);
  return "missedDeadlines";
}

/** Says "look" once more and comes back later; the row itself does not change by this. */
async function pushAgain(dispatching: Dispatching, stale: Deployable): Promise<Outcome> {
  const { store } = dispatching;
  const key = deployableKey(stale.host, stale.id);
  const item = await store.table.get(key, { consistent: true });
  const one = item === undefined ? undefined : valueOf<Deployable>(item);
  if (one === undefined || !isOwed(one)) return undefined;
  const { gsi3pk, gsi3sk } = due(store.now() + repushMs, "deployable", one.id);
  await store.table.write([
    {
      kind: "update",
      key,
      changes: [set("gsi3pk", gsi3pk), set("gsi3sk", gsi3sk)],
      if: eq("revision", one.revision),
    },
  ]);
  await dispatch(dispatching, one);
  return "pushedAgain";
}

/** The clock, once a minute. */
export const create: Create = (environment) => {
  const binding = bindingFrom(environment);
  const sweeping: Sweeping = {
    store: binding.store,
    bucket: bucketFrom(environment),
    push: pushFrom(environment),
    assign: async (claim) => await assign(binding, claim),
  };
  return async () => await sweep(sweeping);
};

export const handler = entry(create);
