import type { Deployable } from "#domain/deployable";
import type { Host } from "#domain/host";
import type { Shape } from "#domain/providers/provider";
import { openSession } from "#openstack/session";
import { providerId } from "#protocol/uuid";
import { changeDeployable, deployableRow } from "#store/deployables";
import { createHost } from "#store/hosts";
import { type PlacementParts, placementParts } from "../../functions/openstack/placement-parts.ts";
import { deployable, uuid } from "../domain/builders.ts";
import { newStore, type TestStore } from "../store/support.ts";

/** A Placement to test with: where it is and how it is reached. */
export interface Reached {
  readonly url: string;
  readonly fetch: typeof globalThis.fetch;
}

/** One request that was made. */
export interface Asked {
  readonly method: string;
  readonly path: string;
}

/** What the administrator of a Placement does, and what was asked of it by the code under test. */
export interface World {
  readonly store: TestStore;
  readonly parts: PlacementParts;
  readonly logged: string[];
  readonly asked: Asked[];
  /** Runs before every request of the code under test; throws to make the service unreachable. */
  before: (asked: Asked) => Promise<void>;
  readonly admin: (method: string, path: string, json?: unknown) => Promise<unknown>;
}

/** A table of its own beside this Placement, whose names start with `prefix`. */
export function newWorld({ url, fetch }: Reached, shape: Shape = "pool"): World {
  const store = newStore();
  const [logged, asked]: [string[], Asked[]] = [[], []];
  const counting: typeof fetch = async (input, init) => {
    const target = new URL(input instanceof Request ? input.url : input);
    const one = { method: init?.method ?? "GET", path: target.pathname };
    await world.before(one);
    asked.push(one);
    return await fetch(input, init);
  };
  const session = (through: typeof fetch) =>
    openSession({
      fetch: through,
      now: Date.now,
      endpoints: { placement: url },
      interface: "public",
    });
  const direct = session(fetch);
  const world: World = {
    store,
    logged,
    asked,
    before: async () => await Promise.resolve(),
    parts: placementParts({ store, openstack: session(counting), shape }, (line) => {
      logged.push(line);
    }),
    admin: async (method, path, json) => {
      const headers = { "openstack-api-version": "placement 1.39" };
      const call = { service: "placement", method: method as "GET", path, headers } as const;
      const { status, text } = await direct.send(json === undefined ? call : { ...call, json });
      if (status >= 400) throw new Error(`${method} ${path}: ${status} ${text}`);
      return text === "" ? undefined : JSON.parse(text);
    },
  };
  return world;
}

/** Reads, and writes to providers, since the last look; forgets all requests. */
export function takeAsked({ asked }: World): { readonly reads: number; readonly writes: number } {
  const all = asked.splice(0);
  const reads = all.filter(({ method, path }) => method === "GET" && path !== "/").length;
  const isWrite = ({ method, path }: Asked) =>
    method !== "GET" && !/^\/(traits|resource_classes)\//.test(path);
  return { reads, writes: all.filter(isWrite).length };
}

/** A compute node as Nova makes it: its provider, with inventory and traits of its own. */
export async function putRoot(world: World, name: string, root = providerId(`root of ${name}`)) {
  await world.admin("POST", "/resource_providers", { uuid: root, name });
  return root;
}

/** Hosts are numbered; each has these cards, which are alike but for what `facts` say. */
export async function putHost(
  world: World,
  number: number,
  facts: readonly Partial<Deployable>[],
  name = `node-${number}`,
): Promise<Host> {
  const host: Host = {
    id: uuid(10_000 + number),
    name,
    state: "online",
    revoked: false,
    createdAt: 0,
    updatedAt: 0,
    revision: 0,
  };
  await createHost(world.store, host, []);
  const rows = facts.map((one, index) => {
    const address = `0000:${(0x10 + index).toString(16)}:00.0`;
    const id = uuid(number * 100 + index + 1);
    const device = uuid(500_000 + number * 100 + index);
    const made = { id, device, address, host: host.id, hostName: name, ...one };
    return { kind: "put", item: deployableRow(deployable(made)) } as const;
  });
  if (rows.length > 0) await world.store.table.write(rows);
  return host;
}

/** Changes the card with this index of a host, as its agent or an operator would. */
export async function change(
  { store }: World,
  number: number,
  index: number,
  facts: Partial<Deployable>,
): Promise<{ readonly before: Deployable; readonly after: Deployable }> {
  const where = { host: uuid(10_000 + number), id: uuid(number * 100 + index + 1) };
  let before = deployable();
  const after = await changeDeployable(store, where, (one) => {
    before = one;
    return { ...one, ...facts, revision: one.revision + 1 };
  });
  return { before, after };
}

/** One provider as Placement tells it. */
export interface Seen {
  readonly name: string;
  readonly uuid: string;
  readonly inventories: Readonly<
    Record<string, { readonly total: number; readonly reserved: number }>
  >;
  readonly traits: readonly string[];
}

/** The children of a host's provider, by name. */
export async function children({ admin }: World, root: string): Promise<readonly Seen[]> {
  const tree = (await admin("GET", `/resource_providers?in_tree=${root}`)) as {
    readonly resource_providers: readonly { readonly uuid: string; readonly name: string }[];
  };
  const found = await Promise.all(
    tree.resource_providers
      .filter(({ uuid: id }) => id !== root)
      .map(async ({ uuid: id, name }) => {
        const stock = await admin("GET", `/resource_providers/${id}/inventories`);
        const shown = await admin("GET", `/resource_providers/${id}/traits`);
        const { inventories } = stock as Pick<Seen, "inventories">;
        return { uuid: id, name, inventories, traits: (shown as Pick<Seen, "traits">).traits };
      }),
  );
  return found.toSorted((one, other) => (one.name < other.name ? -1 : 1));
}

/** Changes inventories or traits of a provider as somebody else would. */
export async function meddle(
  { admin }: World,
  id: string,
  part: "inventories" | "traits",
  how: (now: never) => unknown,
): Promise<void> {
  const path = `/resource_providers/${id}/${part}`;
  const now = (await admin("GET", path)) as Record<string, never> & {
    readonly resource_provider_generation: number;
  };
  const { resource_provider_generation } = now;
  const json = { resource_provider_generation, [part]: how(now[part] as never) };
  await admin("PUT", path, json);
}
