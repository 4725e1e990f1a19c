import * as z from "zod/mini";
import { Fault } from "#domain/faults";
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

/** Remembers the card as it is shown now: no change of it is under way. */
export function rememberDfl(context: CardContext, cardId: string, view: DflView): void {
  keep(context, cardId, view);
}

/** Remembers the change that begins. Throws DISK_FULL when the next agent would not know of it. */
export function beginRenewal(
  context: CardContext,
  cardId: string,
  { view, vfs }: { readonly view: DflView; readonly vfs: readonly number[] },
): void {
  const ports = view.ports.map(({ id }) => id);
  if (keep(context, cardId, view, { ports, vfs: [...vfs], maxVfs: view.maxVfs })) return;
  throw new Fault("DISK_FULL", "the card was not touched: its VFs could not be written down first");
}

function keep(
  { memory }: CardContext,
  cardId: string,
  { engine, interfaceId }: DflView,
  renewal?: Renewal,
): boolean {
  const facts: DflFacts = { engine, interfaceId, ...(renewal === undefined ? {} : { renewal }) };
  return memory.remember(cardId, { family: "dfl", ...facts });
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
