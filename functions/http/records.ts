import type { OperationView, ReceiptView } from "#protocol/http/deployables";
import { findDeployable } from "#store/deployables";
import { operationKey } from "#store/keys";
import { type Wanted } from "#store/lists";
import { listProgress, listReceipts, type Progress, type StoredReceipt } from "#store/receipts";
import { valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import type { Answer, Call } from "./call.ts";
import { operationId, present, timeOf } from "./views.ts";

/** Receipts and operations of a deployable: what was done to it and what proves it. */

export function receiptView({ body, signature, digest, publicKey }: StoredReceipt): ReceiptView {
  const { sha256, ...facts } = body;
  return {
    ...facts,
    ...(sha256 === undefined ? {} : { sha256 }),
    fences: { ...body.fences },
    at: timeOf(body.at),
    signature,
    digest,
    ...(publicKey === undefined ? {} : { publicKey }),
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
 * programmed is shown to admins and to the project it was programmed for.
 */
export async function receiptsOf(
  store: Store,
  id: string,
  call: Call<unknown, Wanted>,
): Promise<Answer> {
  await findDeployable(store, id);
  const page = await listReceipts(store, id, call.query);
  const isOwn = await ownGenerations(store, id, page.items, call.caller);
  const visible = page.items.filter(
    ({ body }) => body.kind === "scrub" || isOwn(body.imageGeneration),
  );
  return { body: { items: visible.map(receiptView), next: page.next } };
}

/** Which of the programmed generations were the caller's: every one for admins. */
async function ownGenerations(
  store: Store,
  id: string,
  receipts: readonly StoredReceipt[],
  { isAdmin, project }: Call["caller"],
): Promise<(generation: number) => boolean> {
  if (isAdmin) return () => true;
  const programmed = receipts.filter(({ body }) => body.kind === "program");
  const keys = programmed.map(({ body }) => operationKey(id, body.imageGeneration));
  const rows = await store.table.getMany(keys);
  const own = rows.flatMap((row) => valueOrUndefined<Progress>(row) ?? []);
  const generations = new Set(
    own.filter((one) => one.project === project).map((one) => one.generation),
  );
  return (generation) => generations.has(generation);
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
