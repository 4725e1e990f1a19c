import { settingRoutes } from "#protocol/http/setting-routes";
import type { EventView } from "#protocol/http/settings";
import { type EventFilter, listEvents, type StoredEvent, systemScope } from "#store/events";
import type { Wanted } from "#store/lists";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { storeFrom } from "../parts/store.ts";
import type { Answer, Call, Caller } from "./call.ts";
import { handle, httpFunction } from "./stack.ts";
import { timeOf } from "./views.ts";

interface Filter extends Wanted {
  readonly claim?: string;
  readonly deployable?: string;
  readonly image?: string;
  readonly host?: string;
  readonly since?: string;
}

function eventView({ at, ...event }: StoredEvent): EventView {
  return { ...event, at: timeOf(at) };
}

/** A claim or a subject by its own index; else the project's events, for admins the system's too. */
function filterOf(query: Filter, caller: Caller): EventFilter {
  const { claim, deployable, image, host } = query;
  if (claim !== undefined) return { claim };
  const subject = deployable ?? image ?? host;
  if (subject !== undefined) return { subject };
  return { scope: caller.isAdmin ? systemScope : caller.project };
}

async function list(store: Store, call: Call<unknown, Filter>): Promise<Answer> {
  const { caller, query } = call;
  const since = query.since === undefined ? 0 : Date.parse(query.since);
  const keep = (event: StoredEvent) =>
    event.at >= since && (caller.isAdmin || event.project === caller.project);
  const { items, next } = await listEvents(store, filterOf(query, caller), keep, query);
  return { body: { items: items.map(eventView), next } };
}

/** The event route over a given store. */
export function eventsFunction(store: Store) {
  return httpFunction(settingRoutes, {
    listEvents: handle(async (call: Call<unknown, Filter>) => await list(store, call)),
  });
}

const build: Create = (environment) => eventsFunction(storeFrom(environment));

export { build as create };
export const handler = entry(build);
