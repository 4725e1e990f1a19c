import type { OperationId } from "#protocol/http/routes";
import type { Answer, Request } from "./api.ts";
import type { Argument, Command, Context, Flag, Input } from "./command.ts";
import { tableOutput } from "./output.ts";
import type { Column } from "./table.ts";

/** Operations that answer with a page of rows. */
export type ListId = {
  [Id in OperationId]: Answer<Id> extends { items: readonly unknown[] } ? Id : never;
}[OperationId];

/** A row of a list operation. */
export type Row<Id extends ListId> =
  Answer<Id> extends { items: readonly (infer Entry)[] } ? Entry : never;

interface Page<Entry> {
  readonly items: readonly Entry[];
  readonly next?: string;
}

type Query = NonNullable<Request<OperationId>["query"]>;

/** A list command as data. `paged` is false for catalogues, which come whole. */
export interface ListSpec<Id extends ListId> {
  readonly words: readonly string[];
  readonly summary: string;
  readonly operation: Id;
  readonly paged?: false;
  readonly calls?: readonly OperationId[];
  readonly arguments?: readonly Argument[];
  readonly flags?: readonly Flag[];
  readonly params?: (input: Input) => Readonly<Record<string, string>>;
  readonly query?: (input: Input, context: Context) => Query | Promise<Query>;
  readonly columns: readonly Column<Row<Id>>[];
  readonly id: (row: Row<Id>) => string;
}

/** Flags of every paged list. */
const pageFlags: readonly Flag[] = [
  { name: "limit", kind: "number", value: "N", help: "Entries of one page, at most 200" },
  { name: "after", kind: "text", value: "NEXT", help: "Go on after the page that gave this next" },
  { name: "all", kind: "switch", help: "Follow the pages to the end" },
];

/** Makes a list command. */
export function listCommand<Id extends ListId>(spec: ListSpec<Id>): Command {
  const paged = spec.paged !== false;
  return {
    words: spec.words,
    summary: spec.summary,
    ...(spec.arguments === undefined ? {} : { arguments: spec.arguments }),
    flags: [...(spec.flags ?? []), ...(paged ? pageFlags : [])],
    calls: [spec.operation, ...(spec.calls ?? [])],
    async run(context, input) {
      const own = (await spec.query?.(input, context)) ?? {};
      const request = {
        params: spec.params?.(input) ?? {},
        query: paged ? { ...own, limit: input.number("limit"), after: input.text("after") } : own,
      };
      const page = input.on("all")
        ? await everyPage(context, spec.operation, request)
        : await onePage(context, spec.operation, request);
      if (page.next !== undefined) context.note(`more with --after ${page.next} or --all`);
      const noun = spec.words[0] ?? "entries";
      return tableOutput(page.items, { json: page, id: spec.id, columns: spec.columns, noun });
    },
  };
}

/** Reads a list to its end: every page, as one page without `next`. */
export async function everyPage<Id extends ListId>(
  context: Context,
  operation: Id,
  request: Pick<Request<Id>, "params" | "query"> = {},
): Promise<{ readonly items: readonly Row<Id>[]; readonly next?: string }> {
  const items: Row<Id>[] = [];
  const seen = new Set<string>();
  let after = request.query?.["after"];
  for (;;) {
    const query = { ...request.query, after };
    const page = await onePage(context, operation, { ...request, query });
    items.push(...page.items);
    if (page.next === undefined) return { items };
    // A service that repeats itself must not keep us reading for ever.
    if (seen.has(page.next)) throw new Error(`the service's pages of ${operation} run in a circle`);
    seen.add(page.next);
    after = page.next;
  }
}

/** Reads one page. */
async function onePage<Id extends ListId>(
  context: Context,
  operation: Id,
  request: Pick<Request<Id>, "params" | "query">,
): Promise<Page<Row<Id>>> {
  const answer: unknown = await context.api.call(operation, request);
  return answer as Page<Row<Id>>;
}
