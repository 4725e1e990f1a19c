import { setTimeout as pause } from "node:timers/promises";
import type { ClaimView } from "#protocol/http/claims";
import type { DeployableView } from "#protocol/http/deployables";
import { type Caller, isDone, isFinal } from "./caller.ts";
import type { Held, Ledger } from "./ledger.ts";
import { askOnce, finish } from "./native-client.ts";

/** Ms within which everything settles once the faults are over. */
export const calmMs = 60_000;

const everyMs = 250;
const settled: ReadonlySet<string> = new Set(["Bound", "BindFailed", "Initial", "Unbound"]);
/** Why a card that is well may be off offer: somebody has it. */
const inUse: ReadonlySet<string> = new Set(["no handle is free", "it is claimed and not shared"]);

/** Everything as an operator sees it, at one quiet moment. */
export interface Picture {
  readonly claims: readonly ClaimView[];
  readonly deployables: readonly DeployableView[];
}

/** Looks at everything. */
export async function lookAtAll(caller: Caller): Promise<Picture> {
  return {
    claims: await caller.list<ClaimView>("/v1/claims?all=true"),
    deployables: await caller.list<DeployableView>("/v1/deployables"),
  };
}

/** What has not settled yet, in words; empty when all has. */
export function unsettled(
  { claims, deployables }: Picture,
  held: ReadonlyMap<string, Held>,
): readonly string[] {
  return [
    ...misplugged(claims, held),
    ...claims.flatMap(({ id, state }) => (settled.has(state) ? [] : [`claim ${id} is ${state}`])),
    ...deployables.flatMap((one) => unsettledDeployable(one)),
  ];
}

/** Bound claims whose guests have them, or not, against what was answered last. */
function misplugged(
  claims: readonly ClaimView[],
  held: ReadonlyMap<string, Held>,
): readonly string[] {
  return claims.flatMap(({ id, state, plugged }) => {
    const wanted = held.get(id)?.plugged;
    if (state !== "Bound" || wanted === undefined || wanted === plugged) return [];
    return [`claim ${id} is ${plugged ? "still" : "not"} plugged`];
  });
}

function unsettledDeployable({
  id,
  hostName,
  region,
  handles,
  notOffered,
}: DeployableView): readonly string[] {
  const name = `${hostName} ${region} ${id}`;
  const dirty = handles.filter(({ state }) => state === "releasing");
  return [
    ...notOffered.filter((why) => !inUse.has(why)).map((why) => `${name}: ${why}`),
    ...dirty.map((handle) => `${name}: ${handle.name} is releasing ${handle.error?.code ?? ""}`),
  ];
}

/** Repeats what was never answered until it is: then every client knows what it has. */
export async function answerAll(caller: Caller, ledger: Ledger): Promise<void> {
  for (const asked of ledger.asked.values()) {
    if (asked.state === "granted" || (asked.state === "refused" && !asked.unsure)) continue;
    await eventually(`an answer to ${asked.key}`, ledger, async () => {
      asked.state = "open";
      await askOnce({ caller, ledger }, asked);
      return (asked.state as string) !== "open";
    });
    asked.unsure = false;
  }
  for (const held of ledger.held.values()) {
    if (held.release !== "asked") continue;
    const { id, project } = held;
    await eventually(`an answer to the release of ${id}`, ledger, async () => {
      const reply = await caller.once({ method: "DELETE", path: `/v1/claims/${id}`, project });
      finish(ledger, held, reply);
      return isFinal(reply);
    });
  }
}

/** What each owner sees of its claims now. */
export async function seeAll(caller: Caller, ledger: Ledger): Promise<void> {
  for (const { id, project, release } of ledger.held.values()) {
    if (release !== "no") continue;
    const reply = await caller.once({ method: "GET", path: `/v1/claims/${id}`, project });
    if (isDone(reply)) ledger.saw(reply.body as ClaimView, reply);
    else ledger.violated("what was answered is kept", `${id}: ${reply.status}`);
  }
}

async function eventually(
  what: string,
  ledger: Ledger,
  look: () => Promise<boolean>,
): Promise<void> {
  const end = performance.now() + calmMs;
  while (!(await look())) {
    if (performance.now() > end) {
      ledger.violated("every request is answered", what);
      return;
    }
    await pause(everyMs);
  }
}

/** Waits until everything has settled; answers the last picture. */
export async function settle(caller: Caller, ledger: Ledger): Promise<Picture> {
  const end = performance.now() + calmMs;
  for (;;) {
    const picture = await lookAtAll(caller).catch(() => undefined);
    const left =
      picture === undefined ? ["the cloud does not answer"] : unsettled(picture, ledger.held);
    if (picture !== undefined && left.length === 0) return picture;
    if (performance.now() > end) {
      for (const what of left) ledger.violated("all settles and every card is offered again", what);
      return picture ?? { claims: [], deployables: [] };
    }
    await pause(everyMs);
  }
}
