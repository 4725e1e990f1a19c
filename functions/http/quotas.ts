import { Fault } from "#domain/faults";
import { isTraitName } from "#domain/traits";
import { settingRoutes } from "#protocol/http/setting-routes";
import type { Wanted } from "#store/lists";
import { listQuotas, setQuota } from "#store/quotas";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { isProject } from "../parts/project.ts";
import { storeFrom } from "../parts/store.ts";
import type { Answer, Call } from "./call.ts";
import { handle, httpFunction } from "./stack.ts";
import { quotaView } from "./views/quota.ts";

/** The project of the path; any name a project could have. INVALID_REQUEST. */
function projectOf(call: Call): string {
  const project = call.path["project"] ?? "";
  if (!isProject(project)) throw wrongPath("project", "a project's name or id");
  return project;
}

function classOf(call: Call): string {
  const resourceClass = call.path["resourceClass"] ?? "";
  if (!isTraitName(resourceClass)) throw wrongPath("resourceClass", "a resource class name");
  return resourceClass;
}

function wrongPath(field: string, expected: string): Fault {
  return new Fault("INVALID_REQUEST", `${field}: expected ${expected}`, { field, expected });
}

async function list(store: Store, project: string, call: Call<unknown, Wanted>): Promise<Answer> {
  const page = await listQuotas(store, project, call.query);
  return { body: { items: page.items.map(quotaView), next: page.next } };
}

/** Setting the same limit again changes nothing, so repeating it needs no memory. */
async function set(store: Store, call: Call<{ readonly limit: number }>): Promise<Answer> {
  const project = projectOf(call);
  const resourceClass = classOf(call);
  return {
    body: quotaView(await setQuota(store, { project, resourceClass, limit: call.body.limit })),
  };
}

/** The quota routes over given parts. */
export function quotasFunction({ store }: { readonly store: Store }) {
  return httpFunction(settingRoutes, {
    listQuotas: handle(
      async (call: Call<unknown, Wanted>) => await list(store, call.caller.project, call),
    ),
    getQuotas: handle(
      async (call: Call<unknown, Wanted>) => await list(store, projectOf(call), call),
    ),
    setQuota: handle(async (call: Call<{ readonly limit: number }>) => await set(store, call)),
  });
}

const build: Create = (environment) => quotasFunction({ store: storeFrom(environment) });

export { build as create };
export const handler = entry(build);
