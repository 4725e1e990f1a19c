import type { Inventories } from "#domain/placement";

interface Provider {
  readonly uuid: string;
  name: string;
  parent: string | null;
  generation: number;
  inventories: Inventories;
  traits: readonly string[];
}

type Resources = Record<string, { readonly resources: Record<string, number> }>;

interface Consumer {
  readonly allocations: Resources;
  readonly generation: number;
}

interface Body {
  readonly uuid: string;
  readonly name: string;
  readonly parent_provider_uuid?: string | null;
  readonly resource_provider_generation: number;
  readonly inventories: Inventories;
  readonly traits: readonly string[];
}

type Ordered = Record<
  string,
  { readonly allocations: Resources; readonly consumer_generation: number | null }
>;

class Problem extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code = "placement.undefined_code", detail = code) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

const conflict = () => new Problem(409, "placement.concurrent_update");

/**
 * Placement as far as it is used here, with its generations and refusals; the scenarios run against it
 * and against the real one. `version` is the newest microversion it speaks.
 */
export class PlacementDouble {
  readonly version: string;
  readonly #providers = new Map<string, Provider>();
  readonly #consumers = new Map<string, Consumer>();
  readonly #traits = new Set(["OWNER_CYBORG"]);
  readonly #classes = new Set(["PGPU", "VGPU", "FPGA", "VCPU"]);

  constructor(version = "1.39") {
    this.version = version;
  }

  readonly fetch: typeof globalThis.fetch = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const body: unknown = typeof init?.body === "string" ? JSON.parse(init.body) : undefined;
    const call = `${init?.method ?? "GET"} ${url.pathname}`;
    await Promise.resolve();
    try {
      const answer = this.#answer(call, url.searchParams, body);
      return answer === undefined ? new Response(null, { status: 204 }) : Response.json(answer);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const { status, code, message: detail } = error;
      return Response.json({ errors: [{ status, code, detail }] }, { status });
    }
  };

  #answer(call: string, query: URLSearchParams, body: unknown): unknown {
    for (const [pattern, handle] of this.#routes) {
      const match = pattern.exec(call);
      if (match !== null) return handle(match[1] ?? "", { query, body: body as Body });
    }
    throw new Problem(404);
  }

  readonly #routes: readonly (readonly [
    RegExp,
    (name: string, call: { readonly query: URLSearchParams; readonly body: Body }) => unknown,
  ])[] = [
    [/^GET \/$/, () => ({ versions: [{ min_version: "1.0", max_version: this.version }] })],
    [/^GET \/resource_providers$/, (_, { query }) => this.#list(query)],
    [/^POST \/resource_providers$/, (_, { body }) => this.#create(body)],
    [/^GET \/resource_providers\/([^/]+)$/, (uuid) => shown(this.#need(uuid))],
    [/^PUT \/resource_providers\/([^/]+)$/, (uuid, { body }) => this.#move(uuid, body)],
    [/^DELETE \/resource_providers\/([^/]+)$/, (uuid) => this.#remove(uuid)],
    [/^GET \/resource_providers\/([^/]+)\/inventories$/, (uuid) => stock(this.#need(uuid))],
    [
      /^PUT \/resource_providers\/([^/]+)\/inventories$/,
      (uuid, { body }) => this.#stock(uuid, body),
    ],
    [/^GET \/resource_providers\/([^/]+)\/traits$/, (uuid) => traits(this.#need(uuid))],
    [/^PUT \/resource_providers\/([^/]+)\/traits$/, (uuid, { body }) => this.#show(uuid, body)],
    [/^GET \/resource_providers\/([^/]+)\/usages$/, (uuid) => ({ usages: this.#usages(uuid) })],
    [/^GET \/resource_providers\/([^/]+)\/allocations$/, (uuid) => this.#takers(uuid)],
    [/^GET \/resource_classes$/, () => ({ resource_classes: [] })],
    [/^PUT \/resource_classes\/(CUSTOM_[A-Z0-9_]+)$/, (name) => void this.#classes.add(name)],
    [/^PUT \/traits\/(CUSTOM_[A-Z0-9_]+)$/, (name) => void this.#traits.add(name)],
    [/^DELETE \/traits\/(.+)$/, (name) => void this.#traits.delete(name)],
    [/^GET \/traits$/, (_, { query }) => this.#known(query)],
    [/^GET \/allocations\/(.+)$/, (consumer) => this.#consumer(consumer)],
    [/^DELETE \/allocations\/(.+)$/, (consumer) => this.#drop(consumer)],
    [/^POST \/allocations$/, (_, { body }) => this.#allocate(body as unknown as Ordered)],
  ];

  #takers(uuid: string): unknown {
    const has = ({ allocations }: Consumer) => allocations[uuid] !== undefined;
    const found = [...this.#consumers].filter(([, consumer]) => has(consumer));
    return { allocations: Object.fromEntries(found.map(([id]) => [id, { resources: {} }])) };
  }

  #need(uuid: string): Provider {
    const found = this.#providers.get(uuid);
    if (found === undefined) throw new Problem(404);
    return found;
  }

  #rootOf(provider: Provider): string {
    return provider.parent === null ? provider.uuid : this.#rootOf(this.#need(provider.parent));
  }

  #list(query: URLSearchParams): unknown {
    const [name, inTree] = [query.get("name"), query.get("in_tree")];
    const member = this.#providers.get(inTree ?? "");
    const root = member === undefined ? undefined : this.#rootOf(member);
    const found = [...this.#providers.values()].filter(
      (one) =>
        (name === null || one.name === name) && (inTree === null || this.#rootOf(one) === root),
    );
    return { resource_providers: found.map(shown) };
  }

  #create({ uuid, name, parent_provider_uuid: parent = null }: Body): unknown {
    this.#checkUnique(uuid, name);
    if (this.#providers.has(uuid)) throw new Problem(409, "placement.duplicate_name");
    if (parent !== null && !this.#providers.has(parent)) throw new Problem(400);
    const made = { uuid, name, parent, generation: 0, inventories: {}, traits: [] };
    this.#providers.set(uuid, made);
    return shown(made);
  }

  #checkUnique(uuid: string, name: string): void {
    const other = [...this.#providers.values()].some(
      (one) => one.name === name && one.uuid !== uuid,
    );
    if (other) throw new Problem(409, "placement.duplicate_name");
  }

  #move(uuid: string, { name, parent_provider_uuid: parent = null }: Body): unknown {
    const one = this.#need(uuid);
    this.#checkUnique(uuid, name);
    if (Number(this.version.slice(2)) < 37 && parent !== one.parent) throw new Problem(400);
    one.name = name;
    one.parent = parent;
    return shown(one);
  }

  #remove(uuid: string): void {
    this.#need(uuid);
    if (Object.values(this.#usages(uuid)).some((used) => used > 0)) {
      throw new Problem(409, "placement.resource_provider.inuse");
    }
    if ([...this.#providers.values()].some(({ parent }) => parent === uuid)) {
      throw new Problem(409, "placement.resource_provider.cannot_delete_parent");
    }
    this.#providers.delete(uuid);
  }

  #stock(uuid: string, { resource_provider_generation, inventories }: Body): unknown {
    const one = this.#need(uuid);
    if (one.generation !== resource_provider_generation) throw conflict();
    if (Object.keys(inventories).some((name) => !this.#classes.has(name))) throw new Problem(400);
    for (const { total, reserved } of Object.values(inventories)) {
      if (total < 1 || reserved > total) throw new Problem(400);
    }
    const used = this.#usages(uuid);
    for (const name of Object.keys(one.inventories)) {
      const isGone = inventories[name] === undefined;
      if (isGone && (used[name] ?? 0) > 0) throw new Problem(409, "placement.inventory.inuse");
    }
    one.inventories = inventories;
    one.generation += 1;
    return stock(one);
  }

  #show(uuid: string, { resource_provider_generation, traits: names }: Body): unknown {
    const one = this.#need(uuid);
    if (one.generation !== resource_provider_generation) throw conflict();
    if (names.some((name) => !this.#traits.has(name))) throw new Problem(400);
    const isSame = names.toSorted().join() === [...one.traits].toSorted().join();
    one.traits = names;
    if (!isSame) one.generation += 1;
    return traits(one);
  }

  #known(query: URLSearchParams): unknown {
    const asked = (query.get("name") ?? "").replace(/^in:/, "").split(",");
    return { traits: asked.filter((name) => this.#traits.has(name)) };
  }

  #usages(uuid: string): Record<string, number> {
    const used: Record<string, number> = {};
    for (const name of Object.keys(this.#need(uuid).inventories)) used[name] = 0;
    for (const { allocations } of this.#consumers.values()) {
      for (const [name, count] of Object.entries(allocations[uuid]?.resources ?? {})) {
        used[name] = (used[name] ?? 0) + count;
      }
    }
    return used;
  }

  #consumer(id: string): unknown {
    const { allocations = {}, generation = null } = this.#consumers.get(id) ?? {};
    return { allocations, consumer_generation: generation };
  }

  #drop(id: string): void {
    if (!this.#consumers.delete(id)) throw new Problem(404);
  }

  #allocate(ordered: Ordered): void {
    const before = new Map(this.#consumers);
    try {
      for (const [id, order] of Object.entries(ordered)) this.#take(id, order);
    } catch (error) {
      this.#consumers.clear();
      for (const [id, consumer] of before) this.#consumers.set(id, consumer);
      throw error;
    }
    const touched = Object.values(ordered).flatMap((order) => Object.keys(order.allocations));
    for (const uuid of new Set(touched)) this.#need(uuid).generation += 1;
  }

  #take(id: string, { allocations, consumer_generation }: Ordered[string]): void {
    if (consumer_generation !== (this.#consumers.get(id)?.generation ?? null)) throw conflict();
    this.#consumers.set(id, { allocations, generation: (consumer_generation ?? 0) + 1 });
    for (const uuid of Object.keys(allocations)) {
      const provider = this.#providers.get(uuid);
      if (provider === undefined) throw new Problem(400, undefined, "that does not exist.");
      for (const [name, count] of Object.entries(this.#usages(uuid))) {
        const { total = 0, reserved = 0 } = provider.inventories[name] ?? {};
        if (count > total - reserved) throw new Problem(409, undefined, "exceed the capacity");
      }
    }
  }
}

function shown({ uuid, name, parent, generation }: Provider): unknown {
  return { uuid, name, generation, parent_provider_uuid: parent };
}

function stock({ generation, inventories }: Provider): unknown {
  return { resource_provider_generation: generation, inventories };
}

function traits({ generation, traits: names }: Provider): unknown {
  return { resource_provider_generation: generation, traits: names };
}
