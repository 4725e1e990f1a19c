import * as z from "zod/mini";
import { isConcurrentUpdate, PlacementRefusal, refusalOf } from "./refusal.ts";
import { bodyOf, consumerTypeVersion, type PlacementWire } from "./wire.ts";

/** Units by class, by provider uuid. */
export type Resources = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** What a consumer (a claim, or an instance) takes. */
export interface AllocationOrder {
  readonly consumer: string;
  readonly project: string;
  readonly user: string;
  readonly providers: Resources;
}

/** What a consumer has; its generation is null while it has nothing. */
export interface Allocation {
  readonly providers: Resources;
  readonly generation: number | null;
}

/**
 * `full`: a provider has promised what it has to others, or is not there. `conflict`: the consumer
 * has an allocation already, of something else.
 */
export type Taken = "taken" | "full" | "conflict";

const allocation = z.object({
  allocations: z.record(z.string(), z.object({ resources: z.record(z.string(), z.number()) })),
  consumer_generation: z.optional(z.nullable(z.number())),
});

/** Says in the consumer's record that no server holds it. */
const consumerType = "GATEHOUSE_CLAIM";
/** Tries against other writers of the same providers; each of them got further meanwhile. */
const mostTries = 8;

/** What a consumer has now. */
export async function allocationOf(wire: PlacementWire, consumer: string): Promise<Allocation> {
  const reply = await wire.need({ method: "GET", path: path(consumer) });
  const { allocations, consumer_generation } = bodyOf(reply, allocation);
  const held = Object.entries(allocations).map(([uuid, { resources }]) => [uuid, resources]);
  const providers = Object.fromEntries(held) as Resources;
  return { providers, generation: consumer_generation ?? null };
}

/** True while a consumer has an allocation. */
export async function hasAllocation(wire: PlacementWire, consumer: string): Promise<boolean> {
  return Object.keys((await allocationOf(wire, consumer)).providers).length > 0;
}

/** Takes what is wanted for a new consumer. One that has the same already is "taken" too. */
export async function takeAllocation(wire: PlacementWire, order: AllocationOrder): Promise<Taken> {
  return await takeAllocations(wire, [order]);
}

/** Takes all of these or none. Consumers that have what is wanted already are left as they are. */
export async function takeAllocations(
  wire: PlacementWire,
  orders: readonly AllocationOrder[],
): Promise<Taken> {
  let missing = orders;
  for (let attempt = 0; attempt < mostTries && missing.length > 0; attempt += 1) {
    const answer = await post(wire, missing);
    if (answer !== "again") return answer;
    const left = await withoutTaken(wire, missing);
    if (left === undefined) return "conflict";
    missing = left;
  }
  if (missing.length === 0) return "taken";
  const detail = "the providers change too fast";
  throw new PlacementRefusal(409, "placement.concurrent_update", detail);
}

/**
 * Orders that are not carried out yet; undefined when a consumer has something else. Told apart only
 * after a conflict: a first try needs no look.
 */
async function withoutTaken(
  wire: PlacementWire,
  orders: readonly AllocationOrder[],
): Promise<readonly AllocationOrder[] | undefined> {
  const missing: AllocationOrder[] = [];
  for (const order of orders) {
    const { providers } = await allocationOf(wire, order.consumer);
    if (Object.keys(providers).length === 0) missing.push(order);
    else if (!isSame(providers, order.providers)) return undefined;
  }
  return missing;
}

function isSame(one: Resources, other: Resources): boolean {
  const lines = (resources: Resources) =>
    Object.entries(resources).flatMap(([uuid, units]) =>
      Object.entries(units).map(([name, count]) => `${uuid} ${name} ${count}`),
    );
  return lines(one).toSorted().join() === lines(other).toSorted().join();
}

/** All or nothing; the generation null says that none of the consumers is known yet. */
async function post(
  wire: PlacementWire,
  orders: readonly AllocationOrder[],
): Promise<"taken" | "full" | "again"> {
  const type = (await wire.minor()) < consumerTypeVersion ? {} : { consumer_type: consumerType };
  const bodies = orders.map(({ consumer, project, user, providers }) => {
    const allocations = Object.fromEntries(
      Object.entries(providers).map(([uuid, resources]) => [uuid, { resources }]),
    );
    const whose = { project_id: project, user_id: user, consumer_generation: null };
    return [consumer, { allocations, ...whose, ...type }] as const;
  });
  const json = Object.fromEntries(bodies);
  const reply = await wire.ask({ method: "POST", path: "/allocations", json });
  if (reply.status < 400) return "taken";
  const refusal = refusalOf(reply);
  if (isConcurrentUpdate(refusal)) return "again";
  if (isFull(refusal)) return "full";
  throw refusal;
}

/**
 * Over capacity has no code of its own, only its status (openstack.md §2); so has a provider that is
 * not there (400).
 */
function isFull({ status, detail }: PlacementRefusal): boolean {
  return status === 409 || (status === 400 && /does not exist|no such|not found/i.test(detail));
}

/** Gives back what a consumer has; nothing happens when it has nothing. */
export async function dropAllocation(wire: PlacementWire, consumer: string): Promise<void> {
  const reply = await wire.ask({ method: "DELETE", path: path(consumer) });
  if (reply.status >= 400 && reply.status !== 404) throw refusalOf(reply);
}

function path(consumer: string): string {
  return `/allocations/${consumer}`;
}
