import * as z from "zod/mini";
import { counter, label, marks, uuid, wireError } from "./shapes.ts";

/**
 * An operation on a whole card that is open (design §2): state, not a command. It is sent again at
 * every hello, inventory and ping until the agent has said how it ended; doing it twice does no harm.
 */
export const card = z.looseObject({
  type: z.literal("card"),
  cardId: label,
  operation: uuid,
  kind: z.enum(["layout", "rebind", "rescan"]),
  layout: z.optional(z.enum(["whole", "regions", "pf", "vfs"])),
  vfs: z.optional(z.int().check(z.minimum(0), z.maximum(64))),
  /** Milliseconds since the epoch by the cloud's clock; of two for one card the newer counts. */
  requestedAt: counter,
  /** After it nothing may be begun: the cloud has given up. */
  deadline: counter,
  /** Counters of the card's deployables when the lock was taken: a higher one means a later grant. */
  floors: marks,
});
export type Card = z.infer<typeof card>;

/**
 * How a card operation stands. An end counts once the cloud holds the inventory of `inventoryHash`:
 * the agent sends what it found first.
 */
export const cardReport = z.looseObject({
  type: z.literal("card-report"),
  epoch: counter,
  cardId: label,
  operation: uuid,
  state: z.enum(["running", "succeeded", "failed"]),
  inventoryHash: label,
  error: z.optional(wireError),
});
export type CardReport = z.infer<typeof cardReport>;
