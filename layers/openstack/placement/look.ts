import type { ProviderDetails, RememberedTree } from "#domain/placement";
import type { Provider } from "#domain/providers/provider";
import { providerId } from "#protocol/uuid";
import type { PlacementClient, TreeNode } from "./client.ts";
import type { HeldProvider } from "./plan.ts";

/** The host's provider, and ours as Placement holds them. */
export interface Look {
  readonly root: string;
  readonly nodes: ReadonlyMap<string, TreeNode>;
  readonly held: ReadonlyMap<string, HeldProvider>;
}

/** What is looked for. */
export interface Looking {
  readonly hostName: string;
  /** The host's provider when it was last seen. */
  readonly root?: string | undefined;
  readonly remembered: RememberedTree;
  /** Other providers that may be ours by their name. */
  readonly also: readonly string[];
  /** Believe what is remembered of a provider whose generation did not move. */
  readonly trusting: boolean;
}

/**
 * Reads the host's tree with one request, and what ours hold where a generation moved. Undefined when
 * Placement does not know the host. Whatever is written later rests on the generations seen here.
 */
export async function look(client: PlacementClient, looking: Looking): Promise<Look | undefined> {
  const tree = await treeOf(client, looking);
  const root = tree.find(({ name, parent }) => name === looking.hostName && parent === null);
  const nodes = new Map(tree.map((node) => [node.uuid, node]));
  const ours = [...new Set([...Object.keys(looking.remembered), ...looking.also])];
  for (const uuid of ours.filter((one) => !nodes.has(one))) {
    const elsewhere = await client.node(uuid);
    if (elsewhere !== undefined) nodes.set(uuid, elsewhere);
  }
  if (root === undefined) return undefined;
  const parents = new Set(tree.map(({ parent }) => parent));
  const held = new Map<string, HeldProvider>();
  for (const uuid of ours) {
    const node = nodes.get(uuid);
    const details = node === undefined ? undefined : await detailsOf(client, looking, node);
    if (node === undefined || details === undefined) continue;
    const { name, parent } = node;
    held.set(uuid, { ...details, name, parent, hasChildren: parents.has(uuid) });
  }
  return { root: root.uuid, nodes, held };
}

/** The tree by the uuid of its root; by the host's name when that is not known or has changed. */
async function treeOf(
  client: PlacementClient,
  { hostName, root }: Looking,
): Promise<readonly TreeNode[]> {
  const known = root === undefined ? [] : await client.tree(root);
  if (known.some(({ uuid, name }) => uuid === root && name === hostName)) return known;
  const found = await client.named(hostName);
  return found === undefined ? [] : await client.tree(found.uuid);
}

async function detailsOf(
  client: PlacementClient,
  { remembered, trusting }: Looking,
  { uuid, generation }: TreeNode,
): Promise<ProviderDetails | undefined> {
  const seen = remembered[uuid]?.seen;
  return trusting && seen?.generation === generation ? seen : await client.details(uuid);
}

/**
 * Adds what is in use where a plan needs it: on what is given up, and then on what claims hold. Most
 * hosts give nothing up, and cost no request here.
 */
export async function withUsages(
  client: PlacementClient,
  held: ReadonlyMap<string, HeldProvider>,
  {
    remembered,
    wanted,
  }: { readonly remembered: RememberedTree; readonly wanted: readonly Provider[] },
): Promise<ReadonlyMap<string, HeldProvider>> {
  const classes = new Map(wanted.map((one) => [providerId(one.name), one.resourceClass]));
  const givenUp = Object.entries(remembered).flatMap(([uuid, { ours }]) => {
    const left = ours.classes.filter((name) => name !== classes.get(uuid));
    const isStocked = left.some((name) => held.get(uuid)?.inventories[name] !== undefined);
    return isStocked ? [uuid] : [];
  });
  const counted = await usagesOf(client, held, givenUp);
  const isUsed = [...counted.values()].some(({ used }) => Object.values(used).some(Boolean));
  if (!isUsed) return new Map([...held, ...counted]);
  const holding = wanted.filter((one) => one.held > 0).map(({ name }) => providerId(name));
  return new Map([...held, ...counted, ...(await usagesOf(client, held, holding))]);
}

async function usagesOf(
  client: PlacementClient,
  held: ReadonlyMap<string, HeldProvider>,
  uuids: readonly string[],
) {
  const counted = new Map<string, HeldProvider & { used: Readonly<Record<string, number>> }>();
  for (const uuid of uuids) {
    const one = held.get(uuid);
    if (one !== undefined) counted.set(uuid, { ...one, used: await client.usages(uuid) });
  }
  return counted;
}
