import * as z from "zod/mini";
import { time, trouble, uuid } from "./common.ts";

const layout = z.enum(["whole", "regions", "pf", "vfs"]);
const kind = z.enum(["layout", "rebind", "rescan"]);

/**
 * An operation on a whole card (docs/cards.md). `layout` goes with kind `layout` only; `vfs` counts
 * the functions of layout `vfs`, or the regions of `regions` that get one.
 */
export const cardRequest = z.strictObject({
  kind,
  layout: z.optional(layout),
  vfs: z.optional(z.int().check(z.minimum(0), z.maximum(64))),
});
export type CardRequestBody = z.infer<typeof cardRequest>;

/** `pending` until the agent says that it has begun. */
export const cardOperation = z.object({
  id: uuid,
  device: uuid,
  host: uuid,
  hostName: z.string(),
  cardId: z.string(),
  kind,
  layout: z.optional(layout),
  vfs: z.optional(z.int()),
  state: z.enum(["pending", "running", "succeeded", "failed"]),
  error: z.optional(trouble),
  requestedAt: time,
  deadline: time,
  updatedAt: time,
});
export type CardOperationView = z.infer<typeof cardOperation>;
