import { absent } from "#store/expression";
import { operationKey, receiptKey } from "#store/keys";
import { type List, type Wanted } from "#store/lists";
import { rowOf, valueOf, valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import type { Item, Write } from "#store/table";

/** A stored receipt: the signed body with its digest, which the next one must name. */
export interface StoredReceipt {
  readonly body: {
    readonly deployable: string;
    readonly number: number;
    readonly previous: string;
    readonly kind: "program" | "scrub";
    readonly imageGeneration: number;
    readonly sha256?: string | undefined;
    readonly functionId: string | null;
    readonly fences: { readonly [handle: string]: number };
    readonly bootId: string;
    readonly at: number;
  };
  readonly signature: string;
  readonly digest: string;
  /** The key it was proven with, for a host gets another one when it joins again: SPKI, DER in base64. */
  readonly publicKey?: string | undefined;
}

/** Appends to a chain; fails when this number was written before. */
export function addReceipt(receipt: StoredReceipt): Write {
  const { deployable, number } = receipt.body;
  return {
    kind: "put",
    item: rowOf(receiptKey(deployable, number), "receipt", receipt),
    if: absent("pk"),
  };
}

/** The newest receipt of a chain, consistently read. */
export async function chainHead(
  store: Store,
  deployable: string,
): Promise<StoredReceipt | undefined> {
  const page = await store.table.query({
    pk: `DPL#${deployable}`,
    sk: { beginsWith: "RECEIPT#" },
    reverse: true,
    limit: 1,
    consistent: true,
  });
  return valueOrUndefined<StoredReceipt>(page.items[0]);
}

/** Receipts of a deployable, newest first. */
export async function listReceipts(
  store: Store,
  deployable: string,
  wanted: Wanted,
): Promise<List<StoredReceipt>> {
  return await newestFirst(store, deployable, "RECEIPT#", wanted);
}

/** How far one image generation has come; written at most once a second (design §2). */
export interface Progress {
  readonly deployable: string;
  readonly generation: number;
  readonly kind: "program" | "scrub";
  readonly image?: string | undefined;
  readonly claim?: string | undefined;
  readonly project?: string | undefined;
  readonly phase: string;
  readonly percent: number;
  readonly state: "running" | "succeeded" | "failed";
  readonly error?: { readonly code: string; readonly message: string } | undefined;
  readonly startedAt: number;
  readonly updatedAt: number;
}

/** Finished operations are kept for 30 days. */
export function progressRow(progress: Progress): Item & { pk: string; sk: string } {
  const key = operationKey(progress.deployable, progress.generation);
  const expiresAt =
    progress.state === "running" ? undefined : Math.ceil(progress.updatedAt / 1000) + 30 * 86_400;
  return rowOf(key, "operation", progress, { expiresAt });
}

/** The progress of one generation, if any was reported. */
export async function readProgress(
  store: Store,
  deployable: string,
  generation: number,
): Promise<Progress | undefined> {
  return valueOrUndefined<Progress>(
    await store.table.get(operationKey(deployable, generation), { consistent: true }),
  );
}

/** Operations of a deployable, newest first. */
export async function listProgress(
  store: Store,
  deployable: string,
  wanted: Wanted,
): Promise<List<Progress>> {
  return await newestFirst(store, deployable, "OP#", wanted);
}

async function newestFirst<Entry>(
  store: Store,
  deployable: string,
  prefix: string,
  wanted: Wanted,
): Promise<List<Entry>> {
  const page = await store.table.query({
    pk: `DPL#${deployable}`,
    sk: { beginsWith: prefix },
    reverse: true,
    limit: wanted.limit ?? 50,
    ...(wanted.after === undefined ? {} : { after: wanted.after }),
  });
  return { items: page.items.map((item) => valueOf<Entry>(item)), next: page.next };
}
