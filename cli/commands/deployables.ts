import type { DeployableView, OperationView, ReceiptView } from "#protocol/http/deployables";
import { objectCommand } from "../acting.ts";
import type { Command } from "../command.ts";
import { listCommand } from "../listing.ts";
import { objectOutput } from "../output.ts";
import { hostId } from "./host-id.ts";
import { programFlags, runProgram } from "./program.ts";
import { verify } from "./verify.ts";

const deployable = { name: "DEPLOYABLE", help: "Deployable id" };

const list = listCommand({
  words: ["deployables", "list"],
  summary: "List what can be programmed and claimed",
  operation: "listDeployables",
  calls: ["listHosts"],
  flags: [
    { name: "host", kind: "text", value: "HOST", help: "Only of this host (id or name)" },
    { name: "resource-class", kind: "text", value: "CLASS", help: "Only of this resource class" },
    { name: "state", kind: "text", value: "STATE", help: "Only in this state" },
  ],
  async query(input, context) {
    const host = input.text("host");
    return {
      host: host === undefined ? undefined : await hostId(context, host),
      resourceClass: input.text("resource-class"),
      state: input.text("state"),
    };
  },
  columns: [
    { title: "ID", of: (row: DeployableView) => row.id },
    { title: "HOST", of: (row) => row.hostName, flex: true },
    { title: "ADDRESS", of: (row) => row.address, extra: true },
    { title: "CLASS", of: (row) => row.resourceClass, extra: true },
    { title: "STATE", of: (row) => row.state },
    { title: "FREE", of: freeHandles },
    { title: "OFFERED", of: (row) => row.offered },
    { title: "LOADED", of: (row) => row.loaded.functionId, flex: true, extra: true },
    { title: "WHY NOT", of: (row) => row.notOffered.join("; "), flex: true, extra: true },
  ],
  id: (row) => row.id,
});

const takeover: Command = {
  words: ["deployables", "takeover"],
  summary: "Take a handle from a silent host; audited",
  arguments: [deployable, { name: "HANDLE", help: "Handle's name" }],
  flags: [{ name: "reason", kind: "text", value: "TEXT", help: "For the audit", required: true }],
  calls: ["takeOverHandle"],
  async run({ api }, input) {
    const view = await api.call("takeOverHandle", {
      params: { deployable: input.argument("DEPLOYABLE") },
      body: { handle: input.argument("HANDLE"), reason: input.text("reason") ?? "" },
    });
    return objectOutput(view, view.id);
  },
};

const program: Command = {
  words: ["deployables", "program"],
  summary: "Program a deployable on which you hold every claim",
  arguments: [deployable],
  flags: programFlags,
  calls: ["programDeployable", "getOperation"],
  run: (context, input) =>
    runProgram(context, input, (body) =>
      context.api.call("programDeployable", {
        params: { deployable: input.argument("DEPLOYABLE") },
        body,
      }),
    ),
};

const receipts = listCommand({
  words: ["deployables", "receipts"],
  summary: "List signed receipts of programs and scrubs, newest first",
  operation: "listReceipts",
  arguments: [deployable],
  params: (input) => ({ deployable: input.argument("DEPLOYABLE") }),
  columns: [
    { title: "NUMBER", of: (row: ReceiptView) => row.number },
    { title: "AT", of: (row) => row.at },
    { title: "KIND", of: (row) => row.kind },
    { title: "GENERATION", of: (row) => row.imageGeneration },
    { title: "SHA256", of: (row) => row.sha256, flex: true },
    { title: "FUNCTION", of: (row) => row.functionId, extra: true },
  ],
  id: (row) => String(row.number),
});

const operations = listCommand({
  words: ["deployables", "operations"],
  summary: "List operations, newest first",
  operation: "listOperations",
  arguments: [deployable],
  params: (input) => ({ deployable: input.argument("DEPLOYABLE") }),
  columns: [
    { title: "ID", of: (row: OperationView) => row.id },
    { title: "KIND", of: (row) => row.kind },
    { title: "STATE", of: (row) => row.state },
    { title: "PHASE", of: (row) => row.phase },
    { title: "PERCENT", of: (row) => row.percent },
    { title: "STARTED", of: (row) => row.startedAt, extra: true },
    { title: "ERROR", of: (row) => row.error?.code, flex: true },
  ],
  id: (row) => row.id,
});

/** How many of a deployable's handles could be claimed, as `free/all`. */
export function freeHandles({ handles }: DeployableView): string {
  return `${handles.filter(({ state }) => state === "free").length}/${handles.length}`;
}

/** Commands of deployables. */
export const deployableCommands: readonly Command[] = [
  list,
  objectCommand({
    words: ["deployables", "show"],
    summary: "Show one deployable with its handles",
    operation: "getDeployable",
    param: "deployable",
    argument: deployable,
    id: (view) => view.id,
  }),
  objectCommand({
    words: ["deployables", "enable"],
    summary: "Offer it again; also retries after a failed scrub",
    operation: "enableDeployable",
    param: "deployable",
    argument: deployable,
    id: (view) => view.id,
  }),
  objectCommand({
    words: ["deployables", "disable"],
    summary: "Do not offer it; claims keep what they hold",
    operation: "disableDeployable",
    param: "deployable",
    argument: deployable,
    id: (view) => view.id,
  }),
  takeover,
  program,
  receipts,
  verify,
  operations,
];
