import { heldHandles } from "#domain/deployable";
import type { OperationView, ReceiptView } from "#protocol/http/deployables";
import { findDeployable } from "#store/deployables";
import { type Wanted } from "#store/lists";
import { listProgress, listReceipts, type Progress, type StoredReceipt } from "#store/receipts";
import type { Store } from "#store/store";
import type { Answer, Call } from "./call.ts";
import { operationId, present, timeOf } from "./views.ts";

/** Receipts and operations of a deployable: what was done to it and what proves it. */

export function receiptView({ body, signature, digest }: StoredReceipt): ReceiptView {
  const { sha256, ...facts } = body;
  return {
    ...facts,
    ...(sha256 === undefined ? {} : { sha256 }),
    fences: { ...body.fences },
    at: timeOf(body.at),
    signature,
    digest,
  };
}

export function progressView(progress: Progress): OperationView {
  const { deployable, generation, kind, image, claim, phase, percent, state, error } = progress;
  return present({
    id: operationId(deployable, generation),
    deployable,
    imageGeneration: generation,
    kind,
    image,
    claim,
    phase,
    percent,
    state,
    error,
    startedAt: timeOf(progress.startedAt),
    updatedAt: timeOf(progress.updatedAt),
  }) as OperationView;
}

/**
 * Proof of scrub is for everyone: a tenant may see that the card was clean before it came. What was
 * programmed is shown to admins and to whoever holds the deployable now.
 */
export async function receiptsOf(
  store: Store,
  id: string,
  call: Call<unknown, Wanted>,
): Promise<Answer> {
  const deployable = await findDeployable(store, id);
  const page = await listReceipts(store, id, call.query);
  const isHolder = heldHandles(deployable).some(
    ([, handle]) => handle.holder?.project === call.caller.project,
  );
  const seesAll = call.caller.isAdmin || isHolder;
  const visible = page.items.filter(({ body }) => seesAll || body.kind === "scrub");
  return { body: { items: visible.map(receiptView), next: page.next } };
}

/** Operations of the caller's project, all of them for admins. */
export async function operationsOf(
  store: Store,
  id: string,
  call: Call<unknown, Wanted>,
): Promise<Answer> {
  await findDeployable(store, id);
  const page = await listProgress(store, id, call.query);
  const { isAdmin, project } = call.caller;
  const visible = page.items.filter((one) => isAdmin || one.project === project);
  return { body: { items: visible.map(progressView), next: page.next } };
}
