import { Fault } from "#domain/faults";
import { type Quota, used } from "#domain/quota";
import { isTraitName } from "#domain/traits";
import { settingRoutes } from "#protocol/http/setting-routes";
import type { QuotaView } from "#protocol/http/settings";
import type { Wanted } from "#store/lists";
import { listQuotas, setQuota } from "#store/quotas";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { storeFrom } from "../parts/store.ts";
import type { Answer, Call } from "./call.ts";
import { handle, httpFunction } from "./stack.ts";

function quotaView(quota: Quota): QuotaView {
  return { ...quota, used: used(quota) };
}

async function list(store: Store, project: string, wanted: Wanted): Promise<Answer> {
  const { items, next } = await listQuotas(store, project, wanted);
  return { body: { items: items.map(quotaView), next } };
}

async function put(store: Store, call: Call<{ readonly limit: number }>): Promise<Answer> {
  const { project = "", resourceClass = "" } = call.path;
  if (!isTraitName(resourceClass)) {
    throw new Fault("INVALID_REQUEST", "resourceClass: expected a resource class name", {
      field: "resourceClass",
      expected: "a resource class name",
    });
  }
  return { body: quotaView(await setQuota(store, { project, resourceClass, ...call.body })) };
}

/** The quota routes over a given store. A project has a quota in a class once it has used it. */
export function quotasFunction(store: Store) {
  return httpFunction(settingRoutes, {
    listQuotas: handle(
      async (call: Call<unknown, Wanted>) => await list(store, call.caller.project, call.query),
    ),
    getQuotas: handle(
      async (call: Call<unknown, Wanted>) =>
        await list(store, call.path["project"] ?? "", call.query),
    ),
    setQuota: handle(async (call: Call<{ readonly limit: number }>) => await put(store, call)),
  });
}

const build: Create = (environment) => quotasFunction(storeFrom(environment));

export { build as create };
export const handler = entry(build);
