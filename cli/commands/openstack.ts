import type { CheckView } from "#protocol/http/openstack";
import type { Command } from "../command.ts";
import { Failure } from "../failure.ts";
import { tableOutput } from "../output.ts";
import type { Column } from "../table.ts";

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

/** Commands for operators of OpenStack clouds. */
export const openstackCommands: readonly Command[] = [check];
