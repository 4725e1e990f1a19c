import type { ProviderDetails } from "#domain/placement";
import type { PlacementClient } from "./client.ts";
import type { HeldProvider, TreeWrite } from "./plan.ts";
import { PlacementRefusal } from "./refusal.ts";

/** What is known of a provider after writes to it. */
export interface Written extends ProviderDetails {
  readonly name: string;
}

/**
 * Carries out a plan on top of the generations it was made from, and tells what our providers hold
 * then. Throws the first refusal: whatever was done up to there is found by the next look.
 */
export async function applyPlan(
  client: PlacementClient,
  plan: readonly TreeWrite[],
  before: { readonly root: string; readonly held: ReadonlyMap<string, HeldProvider> },
): Promise<ReadonlyMap<string, Written>> {
  await prepareNames(client, plan);
  const now = new Map<string, Written>(before.held);
  for (const write of plan) {
    const after = await applied(client, write, before.root, now.get(write.uuid));
    if (after === undefined) now.delete(write.uuid);
    else now.set(write.uuid, after);
  }
  return now;
}

async function prepareNames(client: PlacementClient, plan: readonly TreeWrite[]): Promise<void> {
  const traits = plan.flatMap((write) => (write.kind === "traits" ? write.traits : []));
  const classes = plan.flatMap((write) =>
    write.kind === "inventories" ? Object.keys(write.inventories) : [],
  );
  if (traits.length > 0) await client.ensureTraits([...new Set(traits)]);
  if (classes.length > 0) await client.ensureClasses([...new Set(classes)]);
}

async function applied(
  client: PlacementClient,
  write: TreeWrite,
  root: string,
  now: Written | undefined,
): Promise<Written | undefined> {
  const { uuid } = write;
  if (write.kind === "create") {
    const generation = await client.create(uuid, write.name, root);
    return { name: write.name, generation, inventories: {}, traits: [] };
  }
  if (now === undefined) throw new RangeError(`provider ${uuid} is written before it is there`);
  switch (write.kind) {
    case "move":
      return await moved(client, write, root, now);
    case "traits": {
      const generation = await client.putTraits(uuid, now.generation, write.traits);
      return { ...now, generation, traits: write.traits };
    }
    case "inventories": {
      const { inventories } = write;
      const generation = await client.putInventories(uuid, now.generation, inventories);
      return { ...now, generation, inventories };
    }
    case "delete":
      await client.remove(uuid);
      return undefined;
    default:
      return write satisfies never;
  }
}

/** Where providers cannot be moved, this one is made anew; one that is in use has to stay. */
async function moved(
  client: PlacementClient,
  { uuid, name }: { readonly uuid: string; readonly name: string },
  root: string,
  now: Written,
): Promise<Written> {
  if (await client.move(uuid, name, root)) return { ...now, name };
  await client.remove(uuid);
  await client.create(uuid, name, root);
  throw new PlacementRefusal(409, "placement.concurrent_update", `provider ${uuid} was made anew`);
}
