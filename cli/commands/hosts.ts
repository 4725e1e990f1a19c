import type { HostView, JoinTokenView } from "#protocol/http/hosts";
import type { OperationId } from "#protocol/http/routes";
import type { Command, Output } from "../command.ts";
import { listCommand } from "../listing.ts";
import { objectOutput } from "../output.ts";
import { hostId } from "./host-id.ts";

const host = { name: "HOST", help: "Host id or node name" };

const add: Command = {
  words: ["hosts", "add"],
  summary: "Create a host and its one-time join token",
  arguments: [{ name: "NAME", help: "Node name" }],
  calls: ["createHost"],
  async run({ api, note }, input) {
    const view = await api.call("createHost", { body: { name: input.argument("NAME") } });
    note("the token is shown once; on the host: gatehouse-agent join");
    return tokenOutput(view);
  },
};

const token: Command = {
  words: ["hosts", "token"],
  summary: "Make a new one-time join token (1 h)",
  arguments: [host],
  calls: ["listHosts", "createJoinToken"],
  async run(context, input) {
    const params = { host: await hostId(context, input.argument("HOST")) };
    return tokenOutput(await context.api.call("createJoinToken", { params }));
  },
};

type HostOperation = Extract<
  OperationId,
  "getHost" | "removeHost" | "drainHost" | "activateHost" | "revokeHost"
>;

function hostCommand(verb: string, summary: string, operation: HostOperation): Command {
  return {
    words: ["hosts", verb],
    summary,
    arguments: [host],
    calls: ["listHosts", operation],
    async run(context, input) {
      const params = { host: await hostId(context, input.argument("HOST")) };
      const view: HostView = await context.api.call(operation, { params });
      return objectOutput(view, view.id);
    },
  };
}

/** Commands of hosts. */
export const hostCommands: readonly Command[] = [
  add,
  listCommand({
    words: ["hosts", "list"],
    summary: "List hosts by name",
    operation: "listHosts",
    flags: [{ name: "name", kind: "text", value: "NAME", help: "Only this one" }],
    query: (input) => ({ name: input.text("name") }),
    columns: [
      { title: "ID", of: (row: HostView) => row.id },
      { title: "NAME", of: (row) => row.name, flex: true },
      { title: "STATE", of: (row) => row.state },
      { title: "AGENT", of: (row) => row.agentVersion, extra: true },
      { title: "SEEN", of: (row) => row.seenAt, extra: true },
      { title: "ALARM", of: alarm, flex: true, extra: true },
    ],
    id: (row) => row.id,
  }),
  hostCommand("show", "Show one host", "getHost"),
  token,
  hostCommand("drain", "Offer nothing new on a host", "drainHost"),
  hostCommand("activate", "Offer a drained host again", "activateHost"),
  hostCommand("revoke", "Revoke the agent's key; it must join again", "revokeHost"),
  hostCommand("remove", "Remove a host that holds no claims", "removeHost"),
];

/** What an admin must see at a glance. */
function alarm(row: HostView): string | undefined {
  return row.alarm ?? (row.revoked ? "revoked" : undefined);
}

/** With `--quiet` the token is what a script wants, not the host's id. */
function tokenOutput(view: JoinTokenView): Output {
  return objectOutput(view, view.joinToken);
}
