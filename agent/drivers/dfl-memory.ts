import * as z from "zod/mini";
import type { CardContext } from "./card-family.ts";
import type { DflView } from "./dfl-view.ts";

/**
 * A change that takes a card's VFs off for a moment: what was there, and which ports are to have a
 * VF when it is over. It is kept until then, so that a change that was cut off can be ended.
 */
const renewalSchema = z.object({
  ports: z.array(z.int()),
  vfs: z.array(z.int()),
  maxVfs: z.int(),
});
type Renewal = z.infer<typeof renewalSchema>;

const factsSchema = z.object({
  engine: z.string(),
  interfaceId: z.optional(z.string()),
  renewal: z.optional(renewalSchema),
});

/** What was last read of a card, for when its driver does not show it. */
export type DflFacts = z.infer<typeof factsSchema>;

/** Undefined for a card that was never seen with its driver. */
export function recallDfl({ memory }: CardContext, cardId: string): DflFacts | undefined {
  const facts = factsSchema.safeParse(memory.recall(cardId));
  return facts.success ? facts.data : undefined;
}

/** Remembers the card as it is shown now, and the change that begins, if any. */
export function rememberDfl(
  { memory }: CardContext,
  cardId: string,
  { engine, interfaceId }: DflView,
  renewal?: Renewal,
): void {
  const facts: DflFacts = { engine, interfaceId, ...(renewal === undefined ? {} : { renewal }) };
  memory.remember(cardId, { family: "dfl", ...facts });
}

/** Ports that should have a VF: those that have one, and those that lost it to a change cut off. */
export function portsWithVf(
  context: CardContext,
  cardId: string,
  { ports }: Pick<DflView, "ports">,
): readonly number[] {
  const cutOff = recallDfl(context, cardId)?.renewal?.vfs ?? [];
  return ports.filter(({ id, vf }) => vf !== undefined || cutOff.includes(id)).map(({ id }) => id);
}

/** True when VFs are missing that a change should have put back. */
export function lacksVfs(context: CardContext, cardId: string, view: DflView): boolean {
  const has = view.ports.filter(({ vf }) => vf !== undefined).length;
  return has < (recallDfl(context, cardId)?.renewal?.vfs.length ?? 0);
}
