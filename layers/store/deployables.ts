import {
  type Deployable,
  type Handle,
  heldHandles,
  isLost,
  isOfferable,
  isPending,
} from "#domain/deployable";
import { Fault } from "#domain/faults";
import { isQuiet } from "#domain/quiet";
import { all, eq } from "#store/expression";
import { deployableKey, due, listShards, poolPk, poolShards, poolSk, shardOf } from "#store/keys";
import { type List, listShardsOf, type Wanted } from "#store/lists";
import { rowOf, valueOf, valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import type { Condition, Item, Key, Page, Write } from "#store/table";

/** An undelivered wish is pushed again after this long. */
export const repushMs = 30_000;
/** Up to this much sooner, so that reports that follow each other closely leave the row in its place. */
const repushStepMs = 10_000;

/** The row of a deployable: pool membership and work list follow from its facts. */
export function deployableRow(deployable: Deployable): Item & Key {
  const { host, id, revision, resourceClass, interfaceId, loaded } = deployable;
  const pool = isOfferable(deployable)
    ? {
        gsi1pk: poolPk(resourceClass, shardOf(id, poolShards)),
        gsi1sk: poolSk(interfaceId, loaded.imageId, id),
      }
    : {};
  return rowOf(deployableKey(host, id), "deployable", deployable, {
    revision,
    ...pool,
    gsi2pk: `DEPLOYABLES#${shardOf(id, listShards)}`,
    gsi2sk: id,
    ...(isOwed(deployable) ? due(repushAt(deployable), "deployable", id) : {}),
  });
}

function repushAt({ updatedAt }: Deployable): number {
  return Math.floor((updatedAt + repushMs) / repushStepMs) * repushStepMs;
}

/** True while the agent owes something for this row: a generation, a bind, a plug or a clean-up. */
export function isOwed(deployable: Deployable): boolean {
  const handles = Object.values(deployable.handles);
  return (
    deployable.hostOnline &&
    deployable.present &&
    (isPending(deployable) ||
      heldHandles(deployable).some(([, handle]) => handle.holder?.binding === true) ||
      handles.some(
        (handle) =>
          (handle.state === "releasing" && !isLost(handle)) ||
          ((handle.state === "plugged") !== handle.plugged && !isPluggedByHypervisor(handle)),
      ))
  );
}

/** In the guest of its claim without our doing: Nova's hypervisor plugs and unplugs by itself. */
function isPluggedByHypervisor({ state, holder, plugged, target }: Handle): boolean {
  return state === "plugged" && holder !== undefined && !plugged && target === undefined;
}

/**
 * Replaces a deployable that nobody else changed since it was read. A change from which nothing follows
 * is marked `quiet`: the stream's functions are not woken by it (serverless.yml).
 */
export function replaceDeployable(before: Deployable, after: Deployable): Write {
  const quiet = isQuiet(before, after) ? { quiet: true } : {};
  return { kind: "put", item: { ...deployableRow(after), ...quiet }, if: isUnchanged(before) };
}

/**
 * Still as read. The newest report heard is part of it: one that changes no fact raises no revision,
 * and it must not be forgotten by a writer that read the row before.
 */
export function isUnchanged({ revision, reported: { epoch, seq } }: Deployable): Condition {
  const heard = (name: string) => ["value", "reported", name];
  return all(eq("revision", revision), eq(heard("epoch"), epoch), eq(heard("seq"), seq));
}

/** One deployable by host and id, consistently read. */
export async function readDeployable(
  store: Store,
  host: string,
  id: string,
): Promise<Deployable | undefined> {
  return valueOrUndefined(await store.table.get(deployableKey(host, id), { consistent: true }));
}

/** One deployable by id alone: the index finds its host, the row itself is read consistently. */
export async function findDeployable(store: Store, id: string): Promise<Deployable> {
  const page = await store.table.query({
    index: "gsi2",
    pk: `DEPLOYABLES#${shardOf(id, listShards)}`,
    sk: { from: id, to: id },
    limit: 1,
  });
  const [item] = page.items;
  const found =
    item === undefined
      ? undefined
      : await readDeployable(store, valueOf<Deployable>(item).host, id);
  if (found === undefined) {
    throw new Fault("UNKNOWN_DEPLOYABLE", `no deployable ${id}`, { field: "deployable" });
  }
  return found;
}

/**
 * Every deployable of a host, tombstones included, consistently read; "recent" costs half and may be a
 * moment old.
 */
export async function deployablesOf(
  store: Store,
  host: string,
  read: "consistent" | "recent" = "consistent",
): Promise<readonly Deployable[]> {
  const found: Deployable[] = [];
  let after: string | undefined;
  do {
    const page: Page = await store.table.query({
      pk: `HOST#${host}`,
      sk: { beginsWith: "DPL#" },
      consistent: read === "consistent",
      ...(after === undefined ? {} : { after }),
    });
    found.push(...page.items.map((item) => valueOf<Deployable>(item)));
    after = page.next;
  } while (after !== undefined);
  return found;
}

/**
 * Changes one deployable by a pure function of its newest value, trying again when someone else
 * was faster. Returns the new value, or the old one when `change` returned it. UNKNOWN_DEPLOYABLE;
 * TRY_AGAIN after 6 lost races; whatever `change` throws. `also` adds writes of the caller's own.
 */
export async function changeDeployable(
  store: Store,
  where: { readonly host: string; readonly id: string },
  change: (deployable: Deployable) => Deployable,
  also: (after: Deployable) => readonly Write[] = () => [],
): Promise<Deployable> {
  for (let attempt = 0; attempt < 6; attempt += 1) {
    const before = await readDeployable(store, where.host, where.id);
    if (before === undefined) {
      throw new Fault("UNKNOWN_DEPLOYABLE", `no deployable ${where.id}`);
    }
    const after = change(before);
    if (after === before) return before;
    const result = await store.table.write([replaceDeployable(before, after), ...also(after)]);
    if (result.ok) return after;
    await store.sleep(store.random() * 20 * 2 ** attempt);
  }
  throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
}

/** Deployables by id, those that `keep` refuses left out. */
export async function listDeployables(
  store: Store,
  keep: (deployable: Deployable) => boolean,
  wanted: Wanted,
): Promise<List<Deployable>> {
  const entry = (item: Item) => {
    const deployable = valueOf<Deployable>(item);
    return keep(deployable) ? deployable : undefined;
  };
  const shards = { index: "gsi2", prefix: "DEPLOYABLES#", shards: listShards, entry } as const;
  return await listShardsOf(store, shards, wanted);
}
