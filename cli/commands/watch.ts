import type { DeployableView, OperationView } from "#protocol/http/deployables";
import type { Command, Context, Input } from "../command.ts";
import { everyPage } from "../listing.ts";
import { type Column, renderTable } from "../table.ts";
import { freeHandles } from "./deployables.ts";
import { hostId } from "./host-id.ts";

interface Watched {
  readonly deployable: DeployableView;
  readonly operation: OperationView | undefined;
}

const columns: readonly Column<Watched>[] = [
  { title: "DEPLOYABLE", of: ({ deployable }) => deployable.id },
  { title: "HOST", of: ({ deployable }) => deployable.hostName, flex: true },
  { title: "STATE", of: ({ deployable }) => deployable.state },
  { title: "FREE", of: ({ deployable }) => freeHandles(deployable) },
  {
    title: "LOADED",
    of: ({ deployable }) => deployable.loaded.functionId,
    flex: true,
    extra: true,
  },
  { title: "OPERATION", of: work },
];

const defaultSeconds = 2;

/** `watch`: deployables and their operations as they change. */
export const watchCommands: readonly Command[] = [
  {
    words: ["watch"],
    summary: "Watch deployables and operations; plain lines when not on a terminal",
    flags: [
      { name: "host", kind: "text", value: "HOST", help: "Only of this host (id or name)" },
      {
        name: "interval",
        kind: "seconds",
        value: "SECONDS",
        help: `Between two looks (${defaultSeconds})`,
      },
    ],
    calls: ["listHosts", "listDeployables", "listOperations"],
    run: watch,
  },
];

async function watch(context: Context, input: Input): Promise<undefined> {
  const { io } = context;
  const given = input.text("host");
  const host = given === undefined ? undefined : await hostId(context, given);
  const pause = Math.max(0.2, input.number("interval") ?? defaultSeconds) * 1000;
  const draw = context.mode === "human" && io.stdout.isTTY ? drawScreen : printChanges();
  while (!io.interrupted.aborted) {
    draw(context, await look(context, host));
    await io.sleep(pause, io.interrupted);
  }
  return undefined;
}

async function look(context: Context, host: string | undefined): Promise<readonly Watched[]> {
  const { items } = await everyPage(context, "listDeployables", { query: { host } });
  const watched: Watched[] = [];
  for (const deployable of items) {
    const busy = deployable.state === "programming" || deployable.state === "scrubbing";
    const operation = busy ? await newestOperation(context, deployable.id) : undefined;
    watched.push({ deployable, operation });
  }
  return watched;
}

async function newestOperation({ api }: Context, deployable: string) {
  const { items } = await api.call("listOperations", {
    params: { deployable },
    query: { limit: 1 },
  });
  return items[0];
}

function drawScreen({ io }: Context, watched: readonly Watched[]): void {
  const { columns: width, rows = 24 } = io.stdout;
  const lines = renderTable(columns, watched, width).split("\n");
  // One line more than the terminal has would scroll it at each look.
  const shown = lines.slice(0, rows - 2);
  const left = lines.length - shown.length;
  const tail = left > 0 ? `\n… ${left} more` : "";
  io.stdout.write(`\u001b[H\u001b[J${io.now().toISOString()}\n${shown.join("\n")}${tail}\n`);
}

/** A line for each deployable that differs from the look before. */
function printChanges(): (context: Context, watched: readonly Watched[]) => void {
  let before: ReadonlyMap<string, string> = new Map();
  return (context, watched) => {
    const now = new Map(watched.map((one) => [one.deployable.id, summary(one)]));
    for (const one of watched) {
      const { id } = one.deployable;
      const text = now.get(id) ?? "";
      if (before.get(id) === text) continue;
      const at = context.io.now().toISOString();
      context.emit({ json: one, ids: [id], human: () => `${at} ${id} ${text}` });
    }
    before = now;
  };
}

function summary(one: Watched): string {
  const { hostName, state } = one.deployable;
  return [hostName, state, freeHandles(one.deployable), work(one)]
    .filter((part) => part !== undefined)
    .join(" ");
}

function work({ operation }: Watched): string | undefined {
  return operation === undefined
    ? undefined
    : `${operation.kind} ${operation.phase} ${operation.percent} %`;
}
