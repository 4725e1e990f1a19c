import type { RememberedTree } from "#domain/placement";
import { absent, eq, set } from "#store/expression";
import { due } from "#store/keys";
import { type PackedTree, packTree, unpackTree } from "#store/placement-names";
import { rowOf, valueOf } from "#store/rows";
import type { Store } from "#store/store";
import type { Item, Key } from "#store/table";

/** How the last look at a host's providers ended; `waiting`: Placement does not know the host. */
export type SyncState = "synced" | "waiting" | "failed";

/** What we know of one host's providers, and what we put there. Times in ms. */
export interface PlacementRecord {
  readonly host: string;
  readonly hostName: string;
  readonly state: SyncState;
  readonly problem?: string | undefined;
  /** The host's own provider. */
  readonly root?: string | undefined;
  readonly providers: RememberedTree;
  /** Looks in a row that did not end `synced`. */
  readonly tries: number;
  /** When everything was read last, whatever the generations said. */
  readonly readAt: number;
  /** When it is looked at again. */
  readonly dueAt: number;
  readonly revision: number;
}

/** A record before it is written: the table counts its revisions. */
export type PlacementFacts = Omit<PlacementRecord, "revision">;

const placementKey = (host: string): Key => ({ pk: `HOST#${host}`, sk: "PLACEMENT" });

/** The host that a row of the work list is about. */
export function hostToSync(item: Item): string {
  return valueOf<Pick<PlacementRecord, "host">>(item).host;
}

/** The record a row holds; when it is due and its revision stand beside it. */
export function placementOf(item: Item): PlacementRecord {
  const { dueAt, revision } = item;
  const { tree, ...value } = valueOf<PlacementRecord & { readonly tree: PackedTree }>(item);
  const providers = unpackTree(tree);
  return { ...value, providers, dueAt: Number(dueAt), revision: Number(revision) };
}

/** What is known of a host's providers, consistently read; undefined before the first look. */
export async function readPlacement(
  store: Store,
  host: string,
): Promise<PlacementRecord | undefined> {
  const item = await store.table.get(placementKey(host), { consistent: true });
  return item === undefined ? undefined : placementOf(item);
}

/** Writes a record that nobody changed since it was read; undefined when somebody did. */
export async function writePlacement(
  store: Store,
  before: PlacementRecord | undefined,
  after: PlacementFacts,
): Promise<PlacementRecord | undefined> {
  const revision = (before?.revision ?? 0) + 1;
  const { host, hostName, state, problem, root, providers, tries, readAt, dueAt } = after;
  const value = { host, hostName, state, problem, root, tree: packTree(providers), tries, readAt };
  const attributes = { revision, dueAt, ...due(dueAt, "placement", host, "SYNC") };
  const item = rowOf(placementKey(host), "placement", value, attributes);
  const still = before === undefined ? absent("pk") : eq("revision", before.revision);
  const result = await store.table.write([{ kind: "put", item, if: still }]);
  return result.ok ? { ...after, revision } : undefined;
}

/** Moves the time of the next look and nothing else; false when somebody changed the record. */
export async function postponePlacement(
  store: Store,
  { host, revision }: PlacementRecord,
  dueAt: number,
): Promise<boolean> {
  const { gsi3pk, gsi3sk } = due(dueAt, "placement", host, "SYNC");
  const result = await store.table.write([
    {
      kind: "update",
      key: placementKey(host),
      changes: [set("dueAt", dueAt), set("gsi3pk", gsi3pk), set("gsi3sk", gsi3sk)],
      if: eq("revision", revision),
    },
  ]);
  return result.ok;
}

/**
 * Has a host looked at again now, and whoever is looking at this moment start over: what it saw may be
 * from before.
 */
export async function callForSync(
  store: Store,
  { host, hostName }: Pick<PlacementRecord, "host" | "hostName">,
): Promise<void> {
  const now = store.now();
  const blank = { state: "waiting", providers: {}, tries: 0, readAt: 0 } as const;
  for (;;) {
    const before = await readPlacement(store, host);
    const after = before ?? { ...blank, host, hostName };
    if ((await writePlacement(store, before, { ...after, dueAt: now })) !== undefined) return;
  }
}

/** Forgets a host that has no provider of ours any more; false when somebody changed the record. */
export async function forgetPlacement(
  store: Store,
  { host, revision }: PlacementRecord,
): Promise<boolean> {
  const gone = { kind: "delete", key: placementKey(host), if: eq("revision", revision) } as const;
  return (await store.table.write([gone])).ok;
}
