import { objectCommand } from "../acting.ts";
import type { Command, Context, Flag, Input } from "../command.ts";
import { listCommand } from "../listing.ts";
import { hostId } from "./host-id.ts";

const hostFlag: Flag = {
  name: "host",
  kind: "text",
  value: "HOST",
  help: "Only of this host (id or name)",
};

async function ofHost(input: Input, context: Context) {
  const host = input.text("host");
  return host === undefined ? {} : { host: await hostId(context, host) };
}

/** Commands of catalogues and of single operations. */
export const catalogCommands: readonly Command[] = [
  objectCommand({
    words: ["operations", "show"],
    summary: "Show one operation with its progress",
    operation: "getOperation",
    param: "operation",
    argument: { name: "OPERATION", help: "Operation id" },
    id: (view) => view.id,
  }),
  listCommand({
    words: ["traits", "list"],
    summary: "List traits that deployables have or could have",
    operation: "listTraits",
    paged: false,
    calls: ["listHosts"],
    flags: [hostFlag],
    query: ofHost,
    columns: [
      { title: "NAME", of: (row) => row.name },
      { title: "DEPLOYABLES", of: (row) => row.deployables },
      { title: "FREE", of: (row) => row.free },
    ],
    id: (row) => row.name,
  }),
  listCommand({
    words: ["classes", "list"],
    summary: "List resource classes with totals",
    operation: "listResourceClasses",
    paged: false,
    calls: ["listHosts"],
    flags: [hostFlag],
    query: ofHost,
    columns: [
      { title: "NAME", of: (row) => row.name },
      { title: "TOTAL", of: (row) => row.total },
      { title: "FREE", of: (row) => row.free },
      { title: "HELD", of: (row) => row.held },
    ],
    id: (row) => row.name,
  }),
];
