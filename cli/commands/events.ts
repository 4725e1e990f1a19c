import type { EventView } from "#protocol/http/settings";
import type { Command, Context, Input } from "../command.ts";
import { everyPage, listCommand } from "../listing.ts";
import type { Column } from "../table.ts";
import { printable } from "../text.ts";
import { hostId } from "./host-id.ts";

const columns: readonly Column<EventView>[] = [
  { title: "AT", of: (row) => row.at },
  { title: "KIND", of: (row) => row.kind },
  { title: "TEXT", of: (row) => row.text, flex: true },
  { title: "CLAIM", of: (row) => row.claim, extra: true },
  { title: "DEPLOYABLE", of: (row) => row.deployable, extra: true },
];

/** Between two looks of `--follow`. */
const pauseMs = 2000;
/** Rows of one moment arrive in any order and writers' clocks differ: look back this far. */
const overlapMs = 10_000;

const list = listCommand({
  words: ["events"],
  summary: "List what changed, newest first",
  operation: "listEvents",
  calls: ["listHosts"],
  flags: [
    { name: "claim", kind: "text", value: "ID", help: "Only of this claim" },
    { name: "deployable", kind: "text", value: "ID", help: "Only of this deployable" },
    { name: "image", kind: "text", value: "ID", help: "Only of this image" },
    { name: "host", kind: "text", value: "HOST", help: "Only of this host (id or name)" },
    {
      name: "since",
      kind: "text",
      value: "TIME",
      help: "Only later than this, as 2030-01-31T00:00:00Z",
    },
    { name: "follow", kind: "switch", help: "Go on with new ones as they come, oldest first" },
  ],
  query: eventQuery,
  columns,
  id: (row) => row.id,
});

/** `events`, which lists or follows. */
export const eventCommands: readonly Command[] = [
  {
    ...list,
    run: (context, input) =>
      input.on("follow") ? follow(context, input) : list.run(context, input),
  },
];

async function eventQuery(input: Input, context: Context) {
  const host = input.text("host");
  return {
    claim: input.text("claim"),
    deployable: input.text("deployable"),
    image: input.text("image"),
    host: host === undefined ? undefined : await hostId(context, host),
    since: input.text("since"),
  };
}

/** Prints until the user interrupts, which is its normal end. */
async function follow(context: Context, input: Input): Promise<undefined> {
  const { io } = context;
  const query = await eventQuery(input, context);
  let since = query.since ?? new Date(io.now().getTime() - overlapMs).toISOString();
  let seen: ReadonlyMap<string, string> = new Map();
  while (!io.interrupted.aborted) {
    const { items } = await everyPage(context, "listEvents", { query: { ...query, since } });
    const fresh = items.filter(({ id }) => !seen.has(id)).toReversed();
    for (const event of fresh) context.emit(line(event));
    const newest = items.reduce((latest, { at }) => (at > latest ? at : latest), since);
    since = lookBack(since, newest);
    seen = new Map(
      [...seen, ...items.map(({ id, at }): [string, string] => [id, at])].filter(
        ([, at]) => at >= since,
      ),
    );
    await io.sleep(pauseMs, io.interrupted);
  }
  return undefined;
}

function lookBack(since: string, newest: string): string {
  const earlier = new Date(Date.parse(newest) - overlapMs).toISOString();
  return Date.parse(earlier) > Date.parse(since) ? earlier : since;
}

function line(event: EventView) {
  const subject = event.claim ?? event.deployable ?? event.image ?? event.host;
  const parts = [event.at, event.kind, event.text, ...(subject === undefined ? [] : [subject])];
  return { json: event, ids: [event.id], human: () => parts.map(printable).join("  ") };
}
