import type { CheckView, OpenstackImportView } from "#protocol/http/openstack";
import type { Command } from "../command.ts";
import { Failure } from "../failure.ts";
import { tableOutput } from "../output.ts";
import type { Column } from "../table.ts";

type ImportItem = OpenstackImportView["items"][number];

const columns: readonly Column<CheckView>[] = [
  { title: "STATE", of: (row) => row.state },
  { title: "CHECK", of: (row) => row.name },
  { title: "FOUND", of: (row) => row.text, flex: true },
];

const check: Command = {
  words: ["openstack", "check"],
  summary: "Look at Keystone, Placement, Glance and Nova, and say what to do",
  detail: "Ends with code 9 when a check failed; warnings alone end with 0.",
  calls: ["checkOpenstack"],
  async run({ api, emit, note }) {
    const view = await api.call("checkOpenstack");
    emit(
      tableOutput(view.checks, {
        json: view,
        id: (row) => row.name,
        columns,
        noun: "checks",
      }),
    );
    for (const { name, todo } of view.checks) {
      if (todo !== undefined) note(`${name}: ${todo}`);
    }
    if (view.state !== "failed") return undefined;
    const count = view.checks.filter(({ state }) => state === "failed").length;
    throw new Failure({ code: "OPENSTACK_UNAVAILABLE", message: `${count} checks failed` });
  },
};

const importColumns: readonly Column<ImportItem>[] = [
  { title: "STATE", of: (row) => row.state },
  { title: "KIND", of: (row) => row.kind },
  { title: "ID", of: (row) => row.id },
  { title: "WHAT", of: (row) => row.text, flex: true },
];

const takeOver: Command = {
  words: ["openstack", "import"],
  summary: "Take over the profiles and bound requests of a running Cyborg",
  detail:
    "Nothing is programmed, cleaned or taken from a guest. It may be repeated: what is here already stays as it is. Ends with code 5 when something needs a decision.",
  flags: [{ name: "dry-run", kind: "switch", help: "Say what would be done, and do nothing" }],
  calls: ["importOpenstack"],
  async run({ api, emit }, input) {
    const view = await api.call("importOpenstack", { body: { dryRun: input.on("dry-run") } });
    emit(
      tableOutput(view.items, {
        json: view,
        id: (row) => row.id,
        columns: importColumns,
        noun: "profiles or requests in Cyborg",
      }),
    );
    const count = view.items.filter(({ state }) => state === "conflict").length;
    if (count === 0) return undefined;
    throw new Failure({ code: "CONFLICT", message: `${count} need a decision` });
  },
};

/** Commands for operators of OpenStack clouds. */
export const openstackCommands: readonly Command[] = [check, takeOver];
