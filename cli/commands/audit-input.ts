import type { HistoryReceipt } from "#domain/history/receipts";
import type { HistoryEvent } from "#domain/history/verdict";
import type { ReceiptView } from "#protocol/http/deployables";
import { knownFacts } from "#protocol/http/event-facts";
import { signedReceipt } from "#protocol/http/receipts";
import { type EventView, event as eventSchema } from "#protocol/http/settings";
import { receiptDigest } from "#protocol/wire/receipt";
import type { Context, Input } from "../command.ts";
import { usage } from "../failure.ts";
import { parseJson, readFile } from "../files.ts";
import { everyPage } from "../listing.ts";
import { hostId } from "./host-id.ts";

/** What there is to judge. */
export interface Read {
  readonly events: readonly HistoryEvent[];
  readonly receipts: readonly HistoryReceipt[];
}

/**
 * Reads what `audit` was asked to judge, from the service or a file.
 * Throws INVALID_REQUEST for a file that holds no events.
 */
export async function readHistory(context: Context, input: Input): Promise<Read> {
  const file = input.text("file");
  if (file === undefined) return await readService(context, input);
  if (input.has("deployable") || input.has("host")) {
    throw usage("--file is the whole history: give no deployable and no host", "file", "it alone");
  }
  const since = timeOf(input);
  const events = eventsOf(file, await readFile(context.io, file));
  return { events: events.map(historyEvent).filter(({ at }) => at >= since), receipts: [] };
}

function timeOf(input: Input): number {
  const since = input.text("since");
  const time = since === undefined ? 0 : Date.parse(since);
  if (Number.isNaN(time))
    throw usage("--since is wrong", "since", "a time as 2030-01-31T00:00:00Z");
  return time;
}

/** One event per line, or pages of them, as `events --json` and `--follow --json` print. */
function eventsOf(file: string, text: string): readonly EventView[] {
  // What is printed for people is one document over many lines: no line of it stands alone.
  const isLines = !/^[[{]\s*$/.test(text.trimStart().split("\n", 1)[0] ?? "");
  const documents = isLines ? text.split("\n").filter((line) => line.trim() !== "") : [text];
  const values = documents.map((document) => parseJson(file, document));
  return values.flatMap((value) => {
    const items = (value as { readonly items?: unknown } | null)?.items;
    return (Array.isArray(items) ? items : [value]).map((one: unknown) => {
      const parsed = eventSchema.safeParse(one);
      if (!parsed.success)
        throw usage(`${file} holds something else than events`, "file", "events");
      return parsed.data;
    });
  });
}

/** Everything of the deployables asked for; of all, also what belongs to none, such as quotas. */
async function readService(context: Context, input: Input): Promise<Read> {
  const since = input.text("since");
  const asked = await deployablesOf(context, input);
  const progress = context.progress("histories");
  const events: HistoryEvent[] = [];
  const receipts: HistoryReceipt[] = [];
  const list = async (query: Readonly<Record<string, string>>) => {
    const asking = { query: { ...query, since, limit: 200 } };
    events.push(...(await everyPage(context, "listEvents", asking)).items.map(historyEvent));
  };
  if (!input.has("deployable") && !input.has("host")) await list({});
  for (const [index, deployable] of asked.entries()) {
    progress.show((100 * index) / asked.length, "reading");
    await list({ deployable });
    const chain = { params: { deployable }, query: { limit: 200 } };
    const { items } = await everyPage(context, "listReceipts", chain);
    receipts.push(...items.map(historyReceipt));
  }
  progress.end();
  return { events, receipts };
}

async function deployablesOf(context: Context, input: Input): Promise<readonly string[]> {
  const one = input.text("deployable");
  if (one !== undefined) return [one];
  const given = input.text("host");
  const host = given === undefined ? undefined : await hostId(context, given);
  const { items } = await everyPage(context, "listDeployables", { query: { host, limit: 200 } });
  return items.map(({ id }) => id);
}

/** Facts that this version does not know are left out: the event is counted and not judged. */
function historyEvent({ facts, at, ...event }: EventView): HistoryEvent {
  const known = knownFacts.safeParse(facts);
  return { ...event, at: Date.parse(at), ...(known.success ? { facts: known.data } : {}) };
}

/** The digest is made anew from the body: the service's own is not believed. */
function historyReceipt(view: ReceiptView): HistoryReceipt {
  const { body } = signedReceipt(view);
  return { ...body, digest: receiptDigest(body) };
}
