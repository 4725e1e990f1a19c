import type { Claim } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import { Fault } from "#domain/faults";
import { type Applied, applyReport, type Decision, type Report } from "#domain/report";
import { oweDrop } from "#store/allocations";
import { claimRow } from "#store/claims";
import { readDeployable, replaceDeployable } from "#store/deployables";
import { all, eq } from "#store/expression";
import { claimKey } from "#store/keys";
import { oweEvent } from "#store/outbox";
import {
  addReceipt,
  chainHead,
  type Progress,
  progressRow,
  readProgress,
  type StoredReceipt,
} from "#store/receipts";
import { failedClaim, failOverdue } from "#store/release";
import { valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import type { Write } from "#store/table";

/** A report with what came along. */
export interface Reported {
  readonly host: string;
  readonly deployable: string;
  readonly report: Report;
  readonly percent?: number | undefined;
  /** Verified against the agent's key. */
  readonly receipt?: StoredReceipt | undefined;
}

const mostTries = 8;

/**
 * Applies a report in one transaction: the row, the claims it decides, the receipt and the progress.
 * A report that is old news writes nothing. Throws UNKNOWN_DEPLOYABLE, TRY_AGAIN, and CONFLICT for a
 * receipt that does not continue its chain: what the report says is applied even so, and the agent,
 * not acknowledged, sends its receipts again.
 */
export async function recordReport(store: Store, reported: Reported): Promise<Deployable> {
  for (let attempt = 0; attempt < mostTries; attempt += 1) {
    const before = await readDeployable(store, reported.host, reported.deployable);
    if (before === undefined) {
      throw new Fault("UNKNOWN_DEPLOYABLE", `no deployable ${reported.deployable}`);
    }
    const applied = applyReport(before, reported.report, store.now());
    // A bind whose time is over has failed, also when its proof arrives before the sweep.
    if (await failOverdueBinds(store, applied.bound)) continue;
    const receipt = await receiptWrites(store, reported);
    const writes = [
      ...(receipt instanceof Fault ? [] : receipt),
      ...(applied.deployable === before ? [] : await newsWrites(store, before, reported, applied)),
    ];
    const result = await store.table.write(writes);
    if (result.ok && receipt instanceof Fault) throw receipt;
    if (result.ok) return applied.deployable;
    await store.sleep(store.random() * 10 * 2 ** attempt);
  }
  throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
}

/** True when a bind had to be failed: then the report speaks of an older generation or fence. */
async function failOverdueBinds(store: Store, bound: readonly Decision[]): Promise<boolean> {
  if (bound.length === 0) return false;
  const rows = await store.table.getMany(bound.map(({ claim }) => claimKey(claim)));
  const claims = rows.flatMap((row) => valueOrUndefined<Claim>(row) ?? []);
  const judged = await Promise.all(claims.map(async (claim) => await failOverdue(store, claim)));
  return judged.some((claim) => claim.state === "BindFailed");
}

async function newsWrites(
  store: Store,
  before: Deployable,
  reported: Reported,
  applied: Applied,
): Promise<readonly Write[]> {
  return [
    replaceDeployable(before, applied.deployable),
    ...(await claimWrites(store, applied)),
    ...(await progressWrites(store, before, reported)),
  ];
}

async function claimWrites(
  store: Store,
  applied: { readonly bound: readonly Decision[]; readonly failed: readonly Decision[] },
): Promise<readonly Write[]> {
  const decisions = [...applied.bound, ...applied.failed];
  if (decisions.length === 0) return [];
  const rows = await store.table.getMany(decisions.map(({ claim }) => claimKey(claim)));
  return decisions.flatMap((decision, index) => {
    const claim = valueOrUndefined<Claim>(rows[index]);
    if (claim?.state !== "BindStarted" || claim.fence !== decision.fence) return [];
    const now = store.now();
    const after: Claim =
      decision.error === undefined
        ? { ...claim, state: "Bound", deadline: undefined, updatedAt: now }
        : failedClaim(claim, decision.error, now);
    const stillBinding = all(eq("state", "BindStarted"), eq("fence", decision.fence));
    const status = after.state === "Bound" ? "completed" : "failed";
    return [
      { kind: "put", item: claimRow(after), if: stillBinding },
      ...oweEvent(after, status, now),
      ...(after.state === "BindFailed" ? oweDrop(claim, now) : []),
    ];
  });
}

/** A receipt that is stored already is an echo; any other must continue the chain. */
async function receiptWrites(
  store: Store,
  { receipt }: Reported,
): Promise<readonly Write[] | Fault> {
  if (receipt === undefined) return [];
  const head = await chainHead(store, receipt.body.deployable);
  const number = head?.body.number ?? 0;
  if (receipt.body.number <= number) return [];
  const previous = head?.digest ?? "0".repeat(64);
  if (receipt.body.number !== number + 1 || receipt.body.previous !== previous) {
    return new Fault("CONFLICT", `receipt ${receipt.body.number} does not continue the chain`, {
      field: "receipt.body.previous",
      expected: `number ${number + 1} after ${previous}`,
    });
  }
  return [addReceipt(receipt)];
}

/** Progress of the newest generation, when it is under way or has just ended. */
async function progressWrites(
  store: Store,
  before: Deployable,
  { report, percent }: Reported,
): Promise<readonly Write[]> {
  const generation = report.imageGeneration;
  const owed = before.outcome.generation < generation && generation === before.imageGeneration;
  if (!owed || generation === 0) return [];
  const known = await readProgress(store, before.id, generation);
  const progress = progressOf(before, { report, percent }, known, store.now());
  return [{ kind: "put", item: progressRow(progress) }];
}

function progressOf(
  before: Deployable,
  { report, percent }: Pick<Reported, "report" | "percent">,
  known: Progress | undefined,
  now: number,
): Progress {
  const state = stateOfPhase(report.phase);
  const [holder] = Object.values(before.handles).flatMap((handle) => handle.holder ?? []);
  const reached = percent ?? known?.percent ?? 0;
  return {
    deployable: before.id,
    generation: report.imageGeneration,
    kind: before.wish.scrub === undefined ? "program" : "scrub",
    image: before.wish.image?.id,
    claim: holder?.claim,
    project: holder?.project ?? before.lastProject,
    phase: report.phase,
    percent: state === "succeeded" ? 100 : reached,
    state,
    error: report.error,
    startedAt: known?.startedAt ?? now,
    updatedAt: now,
  };
}

function stateOfPhase(phase: string): Progress["state"] {
  if (phase === "ready") return "succeeded";
  return phase === "failed" ? "failed" : "running";
}
