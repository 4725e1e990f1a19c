import { absent, eq } from "#store/expression";
import { glanceCursorKey } from "#store/keys";
import { rowOf, valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";

/** How far Glance's images were followed. */
export interface GlanceCursor {
  /** The newest change seen there, ms by Glance's clock. */
  readonly since: number;
  /** When all images were last compared, ms by ours. */
  readonly comparedAt: number;
  readonly revision: number;
}

/** The cursor; undefined before the first look. */
export async function readGlanceCursor(store: Store): Promise<GlanceCursor | undefined> {
  const item = await store.table.get(glanceCursorKey(), { consistent: true });
  return valueOrUndefined<GlanceCursor>(item);
}

/** Moves the cursor unless someone else did: whoever is late only sees the same changes again. */
export async function moveGlanceCursor(
  store: Store,
  before: GlanceCursor | undefined,
  after: Omit<GlanceCursor, "revision">,
): Promise<void> {
  const revision = (before?.revision ?? 0) + 1;
  const item = rowOf(glanceCursorKey(), "cursor", { ...after, revision }, { revision });
  const same = before === undefined ? absent("pk") : eq("revision", before.revision);
  await store.table.write([{ kind: "put", item, if: same }]);
}
