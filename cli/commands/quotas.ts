import type { QuotaView } from "#protocol/http/settings";
import type { Command } from "../command.ts";
import { usage } from "../failure.ts";
import { listCommand } from "../listing.ts";
import { objectOutput } from "../output.ts";
import type { Column } from "../table.ts";

const project = { name: "PROJECT", help: "Project id" };

const columns: readonly Column<QuotaView>[] = [
  { title: "PROJECT", of: (row) => row.project, flex: true },
  { title: "CLASS", of: (row) => row.resourceClass },
  { title: "LIMIT", of: (row) => row.limit },
  { title: "USED", of: (row) => row.used },
  { title: "LEFT", of: (row) => row.left },
];

const set: Command = {
  words: ["quotas", "set"],
  summary: "Set how many claims a project may hold",
  arguments: [
    project,
    { name: "CLASS", help: "Resource class" },
    { name: "LIMIT", help: "Claims, 0 or more" },
  ],
  calls: ["setQuota"],
  async run({ api }, input) {
    const text = input.argument("LIMIT");
    if (!/^\d{1,15}$/.test(text)) {
      throw usage(`quotas set: ${text} is not a limit`, "limit", "a whole number from 0");
    }
    const view = await api.call("setQuota", {
      params: { project: input.argument("PROJECT"), resourceClass: input.argument("CLASS") },
      body: { limit: Number(text) },
    });
    return objectOutput(view, view.resourceClass);
  },
};

/** Commands of quotas. */
export const quotaCommands: readonly Command[] = [
  listCommand({
    words: ["quotas", "list"],
    summary: "List quotas of your project",
    operation: "listQuotas",
    columns,
    id: (row) => row.resourceClass,
  }),
  listCommand({
    words: ["quotas", "show"],
    summary: "List quotas of one project",
    operation: "getQuotas",
    arguments: [project],
    params: (input) => ({ project: input.argument("PROJECT") }),
    columns,
    id: (row) => row.resourceClass,
  }),
  set,
];
