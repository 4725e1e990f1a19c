import { rest, restOk } from "./services/rest.ts";
import type { SharedStack } from "./shared.ts";

interface ProviderRow {
  readonly uuid: string;
  readonly name: string;
  readonly parent_provider_uuid: string | null;
}

interface Inventories {
  readonly inventories: Readonly<Record<string, { total: number; reserved: number }>>;
}

interface Usages {
  readonly usages: Readonly<Record<string, number>>;
}

/** What Placement says of a provider that it does not have. */
interface Refusal {
  readonly errors: readonly unknown[];
}

interface Placement {
  <Body>(method: string, path: string): Promise<Body>;
}

function placementOf({ where }: SharedStack, token: string): Placement {
  const headers = { "openstack-api-version": "placement 1.38" };
  return async <Body>(method: string, path: string) =>
    (await rest<Body>({ method, url: `${where.placementUrl}${path}`, token, headers })).body;
}

async function childProviders(placement: Placement): Promise<readonly ProviderRow[]> {
  const { resource_providers: rows } = await placement<{ resource_providers: ProviderRow[] }>(
    "GET",
    "/resource_providers",
  );
  return rows.filter((row) => row.parent_provider_uuid !== null);
}

/** What could be allocated now: total less reserved less used, over all providers. */
export async function freeInPlacement(
  stack: SharedStack,
  token: string,
  resourceClass: string,
): Promise<number> {
  const placement = placementOf(stack, token);
  const free = (await childProviders(placement)).map(async ({ uuid }) => {
    const path = `/resource_providers/${uuid}`;
    // A provider that goes away meanwhile has nothing free.
    const [inventories, usages] = await Promise.all([
      placement<Inventories | Refusal>("GET", `${path}/inventories`),
      placement<Usages | Refusal>("GET", `${path}/usages`),
    ]);
    const held = "inventories" in inventories ? inventories.inventories[resourceClass] : undefined;
    if (held === undefined || !("usages" in usages)) return 0;
    return held.total - held.reserved - (usages.usages[resourceClass] ?? 0);
  });
  return (await Promise.all(free)).reduce((sum, one) => sum + one, 0);
}

/** Takes all child providers away: the next file starts with a compute node without accelerators. */
export async function forgetAccelerators(stack: SharedStack, token: string): Promise<void> {
  const placement = placementOf(stack, token);
  for (const { uuid } of await childProviders(placement)) {
    const path = `/resource_providers/${uuid}`;
    const { allocations } = await placement<{ allocations: object }>("GET", `${path}/allocations`);
    // What a failed test left behind must not make the next file fail.
    for (const consumer of Object.keys(allocations)) {
      await placement("DELETE", `/allocations/${consumer}`);
    }
    const call = { method: "DELETE", url: `${stack.where.placementUrl}${path}`, token };
    await restOk(call);
  }
}
