import { type Deployable, stateOf } from "#domain/deployable";
import { Fault } from "#domain/faults";
import { disable, enable } from "#domain/operating";
import type { CreateClaim } from "#protocol/http/claims";
import { deployableRoutes } from "#protocol/http/deployable-routes";
import type { ProgramRequest } from "#protocol/http/deployables";
import { changeDeployable, findDeployable, listDeployables } from "#store/deployables";
import type { Wanted } from "#store/lists";
import type { Store } from "#store/store";
import { takeOver } from "#store/takeover";
import { type Create, entry } from "../entry.ts";
import { Catalogue } from "../parts/catalogue.ts";
import { type Resolving, resolveClaim } from "../parts/claiming.ts";
import { onlyOnce } from "../parts/once.ts";
import { explainNeed } from "../parts/refusal.ts";
import { storeFrom } from "../parts/store.ts";
import type { Answer, Call } from "./call.ts";
import { programDeployable } from "./program.ts";
import { operationsOf, receiptsOf } from "./records.ts";
import { handle, httpFunction } from "./stack.ts";
import { deployableView } from "./views.ts";

interface DeployableFilter extends Wanted {
  readonly host?: string;
  readonly resourceClass?: string;
  readonly state?: string;
}

async function list(store: Store, call: Call<unknown, DeployableFilter>): Promise<Answer> {
  const { host, resourceClass, state } = call.query;
  const keep = (one: Deployable) =>
    (host === undefined || one.host === host) &&
    (resourceClass === undefined || one.resourceClass === resourceClass) &&
    (state === undefined || stateOf(one).state === state);
  const page = await listDeployables(store, keep, call.query);
  const items = page.items.map((one) => deployableView(one, call.caller));
  return { body: { items, next: page.next } };
}

const idOf = (call: Call) => call.path["deployable"] ?? "";

async function change(
  store: Store,
  call: Call,
  by: (deployable: Deployable, now: number) => Deployable,
): Promise<Answer> {
  const found = await findDeployable(store, idOf(call));
  const after = await changeDeployable(store, found, (one) => by(one, store.now()));
  return { body: deployableView(after, call.caller) };
}

interface TakeoverRequest {
  readonly handle: string;
  readonly reason: string;
}

async function takeHandleOver(store: Store, call: Call<TakeoverRequest>): Promise<Answer> {
  const { body, caller } = call;
  return await onlyOnce<{ readonly deployable: string }>(store, call.once, {
    make: async (remember) => {
      const found = await findDeployable(store, idOf(call));
      const after = await takeOver(store, found, {
        handle: body.handle,
        message: `taken over by ${caller.user}: ${body.reason}`,
        also: [remember({ deployable: found.id })],
      });
      return { body: deployableView(after, call.caller) };
    },
    replay: async ({ deployable: id }) => ({
      body: deployableView(await findDeployable(store, id), call.caller),
    }),
  });
}

async function explain(resolving: Resolving, call: Call<CreateClaim>): Promise<Answer> {
  const [groups] = await resolveClaim(resolving, call.body, call.caller);
  const need = groups?.[0]?.need;
  if (need === undefined) throw new Fault("INTERNAL", "a request has a group");
  return { body: await explainNeed(resolving.store, need) };
}

/** The deployable routes over given parts. */
export function deployablesFunction(resolving: Resolving) {
  const { store } = resolving;
  return httpFunction(deployableRoutes, {
    listDeployables: handle(
      async (call: Call<unknown, DeployableFilter>) => await list(store, call),
    ),
    getDeployable: handle(async (call: Call) => ({
      body: deployableView(await findDeployable(store, idOf(call)), call.caller),
    })),
    explainClaim: handle(async (call: Call<CreateClaim>) => await explain(resolving, call)),
    programDeployable: handle(async (call: Call<ProgramRequest>) => {
      const found = await findDeployable(store, idOf(call));
      const { caller, once, body: request } = call;
      return await programDeployable(resolving, found, { caller, once, request });
    }),
    enableDeployable: handle(async (call: Call) => await change(store, call, enable)),
    disableDeployable: handle(async (call: Call) => await change(store, call, disable)),
    takeOverHandle: handle(
      async (call: Call<TakeoverRequest>) => await takeHandleOver(store, call),
    ),
    listReceipts: handle(
      async (call: Call<unknown, Wanted>) => await receiptsOf(store, idOf(call), call),
    ),
    listOperations: handle(
      async (call: Call<unknown, Wanted>) => await operationsOf(store, idOf(call), call),
    ),
  });
}

const build: Create = (environment) => {
  const store = storeFrom(environment);
  return deployablesFunction({ store, catalogue: new Catalogue(store), hosts: new Map() });
};

export { build as create };
export const handler = entry(build);
