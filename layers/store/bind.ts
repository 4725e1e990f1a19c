import { type Claim, silentAfterMs } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import { type ActiveImage, wantedImage } from "#domain/image";
import { grant } from "#domain/transitions";
import { moveClaim } from "#store/claims";
import { deployableRow, isUnchanged } from "#store/deployables";
import { all, eq, ge } from "#store/expression";
import { imageStillActive } from "#store/images";
import { beatKey } from "#store/keys";
import type { Store } from "#store/store";
import type { Write } from "#store/table";

/** A handle chosen for a waiting claim, as its deployable was read. */
export interface BindChoice {
  readonly deployable: Deployable;
  readonly handle: string;
  readonly image: ActiveImage | undefined;
}

/** `lost`: claim or deployable changed since they were read, or another write was faster. */
export type BindAttempt =
  | { readonly kind: "bound to"; readonly claim: Claim }
  | { readonly kind: "lost" }
  | { readonly kind: "host silent" }
  | { readonly kind: "image not active" };

/**
 * Gives a waiting claim its handle in one transaction, under the same conditions as a grant: the
 * deployable still offered as it was read, its host heard within 120 s, the image active (I4). The
 * claim stays BindStarted until the agent has proven the wish.
 */
export async function tryBind(
  store: Store,
  claim: Claim,
  choice: BindChoice,
): Promise<BindAttempt> {
  const now = store.now();
  const { deployable: before, handle: name, image } = choice;
  const taker = { claim: claim.id, project: claim.project, instance: claim.instance, handle: name };
  const after = grant(before, [taker], image && wantedImage(image), now);
  const handle = after.handles[name];
  if (handle === undefined) throw new RangeError(`no handle ${name}`);
  const bound: Claim = {
    ...claim,
    deployable: before.id,
    handle: name,
    fence: handle.fence,
    pciAddress: handle.address,
    image: image?.id,
    updatedAt: now,
  };
  const heard = all(eq("state", "online"), ge("seenAt", now - silentAfterMs));
  const beat: Write = { kind: "check", key: beatKey(before.host), if: heard };
  const active = image === undefined ? [] : [imageStillActive(image.id)];
  const writes = [beat, ...active, offeredStill(before, after), ...moveClaim(claim, bound)];
  const result = await store.table.write(writes);
  if (result.ok) return { kind: "bound to", claim: bound };
  if (result.failures[0]?.reason === "condition") return { kind: "host silent" };
  const isImage = image !== undefined && result.failures[1]?.reason === "condition";
  return isImage ? { kind: "image not active" } : { kind: "lost" };
}

function offeredStill(before: Deployable, after: Deployable): Write {
  const pool = deployableRow(before)["gsi1pk"] ?? "";
  const condition = all(isUnchanged(before), eq("gsi1pk", pool));
  return { kind: "put", item: deployableRow(after), if: condition };
}
