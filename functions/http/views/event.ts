import type { EventView } from "#protocol/http/settings";
import type { StoredEvent } from "#store/events";
import { present, timeOf } from "../views.ts";

/** One line of the audit. */
export function eventView({ at, ...event }: StoredEvent): EventView {
  return present<EventView>({ ...event, at: timeOf(at) });
}
