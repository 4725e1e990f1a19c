import type { ClaimView } from "#protocol/http/claims";
import { objectCommand } from "../acting.ts";
import type { Command, Context, Input } from "../command.ts";
import { Failure } from "../failure.ts";
import { listCommand } from "../listing.ts";
import { objectOutput, tableOutput } from "../output.ts";
import type { Column } from "../table.ts";
import { waitFor, waitTimeoutFlag } from "../wait.ts";
import { attachCommand, detachCommand } from "./attach.ts";
import { claimFlags, claimRequest } from "./claim-request.ts";

const claim = { name: "CLAIM", help: "Claim id" };

const columns: readonly Column<ClaimView>[] = [
  { title: "ID", of: (row) => row.id },
  { title: "STATE", of: (row) => row.state },
  { title: "HOST", of: (row) => row.hostName, flex: true },
  { title: "PCI ADDRESS", of: (row) => row.pciAddress },
  { title: "CLASS", of: (row) => row.resourceClass, extra: true },
  { title: "PLUGGED", of: (row) => row.plugged },
  { title: "INSTANCE", of: (row) => row.instance, flex: true, extra: true },
  { title: "IMAGE", of: (row) => row.image, flex: true, extra: true },
  { title: "REASON", of: (row) => row.reason?.code, flex: true, extra: true },
];

const create: Command = {
  words: ["claims", "create"],
  summary: "Claim handles, program if an image or type is asked for",
  flags: [
    ...claimFlags,
    { name: "wait", kind: "switch", help: "Wait until they are bound" },
    waitTimeoutFlag,
  ],
  calls: ["createClaims", "getClaim"],
  run: createClaims,
};

const renew: Command = {
  words: ["claims", "renew"],
  summary: "Renew the lease of a claim",
  arguments: [claim],
  flags: [{ name: "lease", kind: "seconds", value: "SPAN", help: "From now on", required: true }],
  calls: ["renewClaim"],
  async run({ api }, input) {
    const view = await api.call("renewClaim", {
      params: { claim: input.argument("CLAIM") },
      body: { leaseSeconds: input.number("lease") ?? 0 },
    });
    return objectOutput(view, view.id);
  },
};

/** Commands of claims. */
export const claimCommands: readonly Command[] = [
  create,
  listCommand({
    words: ["claims", "list"],
    summary: "List claims of the project, or of one instance",
    operation: "listClaims",
    flags: [
      { name: "instance", kind: "text", value: "ID", help: "Only of this instance" },
      { name: "all-projects", kind: "switch", help: "Of every project (admins)" },
    ],
    query: (input) => ({
      instance: input.text("instance"),
      all: input.on("all-projects") ? "true" : undefined,
    }),
    columns,
    id: (row) => row.id,
  }),
  objectCommand({
    words: ["claims", "show"],
    summary: "Show one claim",
    operation: "getClaim",
    param: "claim",
    argument: claim,
    id: (view) => view.id,
  }),
  objectCommand({
    words: ["claims", "release"],
    summary: "End a claim; its handle is cleaned before anyone else gets it",
    operation: "releaseClaim",
    param: "claim",
    argument: claim,
    id: (view) => view.id,
  }),
  attachCommand(["claims", "attach"]),
  detachCommand,
  renew,
];

async function createClaims(context: Context, input: Input) {
  const created = await context.api.call("createClaims", { body: claimRequest(input) });
  const claims = input.on("wait")
    ? await waitForAll(context, created.claims, input.number("wait-timeout"))
    : created.claims;
  const json = { ...created, claims };
  return tableOutput(claims, { json, id: (row) => row.id, columns, noun: "claims" });
}

/** One after the other: they are bound in parallel, and the first that failed decides. */
async function waitForAll(
  context: Context,
  claims: readonly ClaimView[],
  seconds: number | undefined,
): Promise<readonly ClaimView[]> {
  const progress = context.progress("binding");
  const bound: ClaimView[] = [];
  try {
    for (const { id } of claims) {
      const show = ({ state }: ClaimView) =>
        progress.show((bound.length / claims.length) * 100, state);
      bound.push(await waitUntilBound(context, { id, show, seconds }));
    }
    return bound;
  } finally {
    progress.end();
  }
}

async function waitUntilBound(
  context: Context,
  wait: { id: string; show: (view: ClaimView) => void; seconds: number | undefined },
): Promise<ClaimView> {
  const { id, show, seconds } = wait;
  const view = await waitFor(context, {
    look: () => context.api.call("getClaim", { params: { claim: id } }),
    done: ({ state }) => state !== "Initial" && state !== "BindStarted",
    show,
    again: `gatehouse claims show ${id}`,
    seconds,
  });
  if (view.state === "Bound") return view;
  const reason = view.reason ?? { code: "WRONG_STATE", message: `The claim is ${view.state}` };
  throw new Failure(reason, { hint: `see gatehouse claims show ${id}` });
}
