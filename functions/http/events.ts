import { settingRoutes } from "#protocol/http/setting-routes";
import { type EventFilter, listEvents, type StoredEvent, systemScope } from "#store/events";
import type { List, Wanted } from "#store/lists";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { mergedPage } from "../parts/merged.ts";
import { storeFrom } from "../parts/store.ts";
import type { Answer, Call, Caller } from "./call.ts";
import { handle, httpFunction } from "./stack.ts";
import { eventView } from "./views/event.ts";

interface EventQuery extends Wanted {
  readonly claim?: string;
  readonly deployable?: string;
  readonly image?: string;
  readonly host?: string;
  readonly since?: string;
}

/**
 * What changed, newest first: a project's own events; for admins also those of the system, and of
 * every project when they ask about one claim, deployable, image or host.
 */
async function list(store: Store, call: Call<unknown, EventQuery>): Promise<Answer> {
  const { caller, query } = call;
  const about = subjectOf(query);
  const which = { keep: keeps(caller, query), since: query.since };
  const page =
    about === undefined
      ? await unfiltered(store, caller, query)
      : await (caller.isAdmin
          ? listed(store, about, which, query)
          : ownOnes(store, caller.project, { ...which, keep: within(about, which.keep) }, query));
  return { body: { items: page.items.map(eventView), next: page.next } };
}

/** As the table lists them: an event is its deployable's, else its image's, else its host's. */
function within(
  about: EventFilter,
  keep: (event: StoredEvent) => boolean,
): (event: StoredEvent) => boolean {
  if (!("subject" in about)) return keep;
  return (event) =>
    keep(event) && (event.deployable ?? event.image ?? event.host) === about.subject;
}

/** Most pages of a project's events that are looked through for one answer. */
const mostPages = 20;

/**
 * Events of a subject among the project's own. Its list of all projects is not even read: where that
 * ends goes into the token of the next page, and would tell whose the events in between are.
 */
async function ownOnes(
  store: Store,
  project: string,
  which: Parameters<typeof listed>[2],
  { limit = 50, after }: Wanted,
): Promise<List<StoredEvent>> {
  const items: StoredEvent[] = [];
  let at = after;
  for (let pages = 0; pages < mostPages; pages += 1) {
    const wanted = { limit: limit - items.length, after: at };
    const page = await listed(store, { scope: project }, which, wanted);
    items.push(...page.items);
    at = page.next;
    if (at === undefined || items.length === limit) break;
  }
  return { items, next: at };
}

/** The narrowest list that has everything that was asked for. */
function subjectOf({ claim, deployable, image, host }: EventQuery): EventFilter | undefined {
  if (claim !== undefined) return { claim };
  const subject = deployable ?? image ?? host;
  return subject === undefined ? undefined : { subject };
}

function keeps(caller: Caller, query: EventQuery): (event: StoredEvent) => boolean {
  const { claim, deployable, image, host } = query;
  const wanted = Object.entries({ claim, deployable, image, host }).filter(
    ([, value]) => value !== undefined,
  );
  return (event) =>
    (caller.isAdmin || event.project === caller.project) &&
    wanted.every(([name, value]) => event[name as "claim"] === value);
}

async function unfiltered(
  store: Store,
  { project, isAdmin }: Caller,
  { limit, after, since }: EventQuery,
): Promise<List<StoredEvent>> {
  const source = (scope: string) => async (wanted: Wanted) =>
    await listed(store, { scope }, { keep: () => true, since }, wanted);
  const own = source(project);
  if (!isAdmin) return await own({ limit, after });
  return await mergedPage([source(systemScope), own], isNewer, { limit, after });
}

function isNewer(one: StoredEvent, other: StoredEvent): boolean {
  return one.at === other.at ? one.id > other.id : one.at > other.at;
}

/** Newest first, so the first event from before `since` ends the list. */
async function listed(
  store: Store,
  filter: EventFilter,
  which: {
    readonly keep: (event: StoredEvent) => boolean;
    readonly since: string | undefined;
  },
  { limit, after }: Wanted,
): Promise<List<StoredEvent>> {
  const from = which.since === undefined ? 0 : Date.parse(which.since);
  let isPast = false;
  const keep = (event: StoredEvent) => {
    isPast ||= event.at < from;
    return event.at >= from && which.keep(event);
  };
  const { items, next } = await listEvents(store, filter, keep, { limit, after });
  return isPast ? { items } : { items, next };
}

/** The event routes over given parts. */
export function eventsFunction({ store }: { readonly store: Store }) {
  return httpFunction(settingRoutes, {
    listEvents: handle(async (call: Call<unknown, EventQuery>) => await list(store, call)),
  });
}

const build: Create = (environment) => eventsFunction({ store: storeFrom(environment) });

export { build as create };
export const handler = entry(build);
