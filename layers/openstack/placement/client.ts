import * as z from "zod/mini";
import type { Inventories, ProviderDetails } from "#domain/placement";
import type { OpenStack } from "../cloud.ts";
import { concurrentUpdateOf, refusalOf } from "./refusal.ts";
import { bodyOf, movingVersion, PlacementWire } from "./wire.ts";

/** A provider and its place in the tree. */
export interface TreeNode {
  readonly uuid: string;
  readonly name: string;
  readonly generation: number;
  readonly parent: string | null;
}

const provider = z.object({
  uuid: z.string(),
  name: z.string(),
  generation: z.number(),
  parent_provider_uuid: z.nullable(z.string()),
});
const providers = z.object({ resource_providers: z.array(provider) });
const inventory = z.object({
  total: z.number(),
  reserved: z.number(),
  min_unit: z.number(),
  max_unit: z.number(),
  step_size: z.number(),
  allocation_ratio: z.number(),
});
const inventoryList = z.object({
  resource_provider_generation: z.number(),
  inventories: z.record(z.string(), inventory),
});
const traitList = z.object({
  resource_provider_generation: z.number(),
  traits: z.array(z.string()),
});
const usageList = z.object({ usages: z.record(z.string(), z.number()) });
const consumerList = z.object({ allocations: z.record(z.string(), z.unknown()) });
const traitNames = z.object({ traits: z.array(z.string()) });

/** Longest list of names in one query: uWSGI's own limit for a request's head is 4096 bytes. */
const longestQuery = 2000;
/** Tries to see inventories and traits of a provider at one generation. */
const mostLooks = 4;

/**
 * Providers of one Placement. Throws Fault OPENSTACK_UNAVAILABLE when it does not answer, and
 * PlacementRefusal for whatever else it will not do.
 */
export class PlacementClient {
  readonly wire: PlacementWire;
  /** Classes and traits that are known to exist, so that they are asked for once. */
  readonly #names = new Set<string>();

  constructor(openstack: OpenStack) {
    this.wire = new PlacementWire(openstack);
  }

  /** The provider of this name, if there is one. */
  async named(name: string): Promise<TreeNode | undefined> {
    const [found] = await this.#list({ name });
    return found;
  }

  /** Every provider of the tree that this one is part of; none when it is not there. */
  async tree(uuid: string): Promise<readonly TreeNode[]> {
    return await this.#list({ in_tree: uuid });
  }

  /** One provider, if it is there. */
  async node(uuid: string): Promise<TreeNode | undefined> {
    const found = await this.wire.find(path(uuid), provider);
    return found === undefined ? undefined : nodeOf(found);
  }

  /** Inventories and traits at one generation; undefined when it is gone. */
  async details(uuid: string): Promise<ProviderDetails | undefined> {
    for (let look = 0; look < mostLooks; look += 1) {
      const [held, shown] = await Promise.all([
        this.wire.find(path(uuid, "inventories"), inventoryList),
        this.wire.find(path(uuid, "traits"), traitList),
      ]);
      if (held === undefined || shown === undefined) return undefined;
      const generation = held.resource_provider_generation;
      if (generation === shown.resource_provider_generation) {
        return { generation, inventories: held.inventories, traits: shown.traits.toSorted() };
      }
    }
    throw concurrentUpdateOf(uuid);
  }

  /** Units in use, by class; none when the provider is gone. */
  async usages(uuid: string): Promise<Readonly<Record<string, number>>> {
    return (await this.wire.find(path(uuid, "usages"), usageList))?.usages ?? {};
  }

  /** Who has something of a provider; nobody when it is gone. */
  async consumers(uuid: string): Promise<readonly string[]> {
    const found = await this.wire.find(path(uuid, "allocations"), consumerList);
    return Object.keys(found?.allocations ?? {});
  }

  /** All providers that have no parent: hosts, as nova-compute made them. */
  async roots(): Promise<readonly TreeNode[]> {
    return (await this.#list({})).filter(({ parent }) => parent === null);
  }

  /** Makes a provider and returns its generation. */
  async create(uuid: string, name: string, parent: string): Promise<number> {
    const json = { uuid, name, parent_provider_uuid: parent };
    const reply = await this.wire.need({ method: "POST", path: "/resource_providers", json });
    return bodyOf(reply, provider).generation;
  }

  /** Gives a provider a name and a parent; false when this Placement cannot move providers. */
  async move(uuid: string, name: string, parent: string): Promise<boolean> {
    if ((await this.wire.minor()) < movingVersion) return false;
    const json = { name, parent_provider_uuid: parent };
    await this.wire.need({ method: "PUT", path: path(uuid), json });
    return true;
  }

  /** Takes a provider away; nothing happens when it is gone. */
  async remove(uuid: string): Promise<void> {
    const reply = await this.wire.ask({ method: "DELETE", path: path(uuid) });
    if (reply.status >= 400 && reply.status !== 404) throw refusalOf(reply);
  }

  /** Replaces all inventories of a provider and returns its new generation. */
  async putInventories(
    uuid: string,
    generation: number,
    inventories: Inventories,
  ): Promise<number> {
    const json = { resource_provider_generation: generation, inventories };
    const call = { method: "PUT", path: path(uuid, "inventories"), json } as const;
    return bodyOf(await this.wire.need(call), inventoryList).resource_provider_generation;
  }

  /** Replaces all traits of a provider and returns its new generation. */
  async putTraits(uuid: string, generation: number, traits: readonly string[]): Promise<number> {
    const json = { resource_provider_generation: generation, traits };
    const call = { method: "PUT", path: path(uuid, "traits"), json } as const;
    return bodyOf(await this.wire.need(call), traitList).resource_provider_generation;
  }

  /** Makes custom resource classes that are not there yet. */
  async ensureClasses(names: readonly string[]): Promise<void> {
    for (const name of this.#unknown("class", names)) {
      if (name.startsWith("CUSTOM_")) {
        await this.wire.need({ method: "PUT", path: `/resource_classes/${name}` });
      }
      this.#names.add(`class ${name}`);
    }
  }

  /** Makes custom traits that are not there yet. */
  async ensureTraits(names: readonly string[]): Promise<void> {
    for (const asked of chunks(this.#unknown("trait", names))) {
      const query = { name: `in:${asked.join(",")}` };
      const reply = await this.wire.need({ method: "GET", path: "/traits", query });
      const there = new Set(bodyOf(reply, traitNames).traits);
      for (const name of asked.filter((one) => !there.has(one))) {
        await this.wire.need({ method: "PUT", path: `/traits/${name}` });
      }
      for (const name of asked) this.#names.add(`trait ${name}`);
    }
  }

  /** After a refusal: somebody may have removed a class or a trait. */
  forgetNames(): void {
    this.#names.clear();
  }

  #unknown(kind: "class" | "trait", names: readonly string[]): readonly string[] {
    return names.filter((name) => !this.#names.has(`${kind} ${name}`));
  }

  async #list(query: Readonly<Record<string, string>>): Promise<readonly TreeNode[]> {
    const reply = await this.wire.need({ method: "GET", path: "/resource_providers", query });
    return bodyOf(reply, providers).resource_providers.map(nodeOf);
  }
}

function path(uuid: string, part?: string): string {
  return `/resource_providers/${uuid}${part === undefined ? "" : `/${part}`}`;
}

function nodeOf({
  uuid,
  name,
  generation,
  parent_provider_uuid,
}: z.infer<typeof provider>): TreeNode {
  return { uuid, name, generation, parent: parent_provider_uuid };
}

/** Lists of names that each fit one query. */
function chunks(names: readonly string[]): readonly (readonly string[])[] {
  const lists: string[][] = [];
  let length = Number.POSITIVE_INFINITY;
  for (const name of names) {
    if (length + name.length > longestQuery) {
      lists.push([]);
      length = 0;
    }
    lists.at(-1)?.push(name);
    length += name.length + 3;
  }
  return lists;
}
