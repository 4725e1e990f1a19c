import { Fault } from "#domain/faults";
import type { Card, CardReport } from "#protocol/wire/card";
import { wireErrorOf } from "#protocol/wire/codec";
import type { InventoryDevice } from "#protocol/wire/inventory";
import type { TrustedClock } from "../trusted-clock.ts";
import { requireFree } from "./card-free.ts";
import type { CardLoops } from "./card-loops.ts";
import type { Equipment } from "./ports.ts";
import type { Site } from "./site.ts";

/** How an operation stands, in the words of the wire. */
export type CardAnswer = Pick<CardReport, "cardId" | "operation" | "state" | "error">;

/** What operations on cards need. */
export interface CardWork {
  readonly equipment: Equipment;
  readonly loops: CardLoops;
  readonly sites: () => Iterable<Site>;
  readonly trustedClock: Pick<TrustedClock, "judgingTime">;
  readonly rescan: () => Promise<void>;
  /** Hears how an operation stands: after the inventory that came of it. */
  readonly answer: (answer: CardAnswer) => void;
}

/**
 * Operations on whole cards, each in the loop of its card, so that no step of a deployable runs
 * beside it. Nothing is journaled: what is asked for is a state, and asking again does no harm.
 */
export class CardOperations {
  readonly #work: CardWork;
  /** The newest operation of each card and how it stands. */
  readonly #newest = new Map<string, { readonly card: Card; answer: CardAnswer }>();

  constructor(work: CardWork) {
    this.#work = work;
  }

  /** Takes an operation in, or answers again how it stands; one that is older than another is void. */
  offer(card: Card): void {
    const known = this.#newest.get(card.cardId);
    if (known?.card.operation === card.operation) {
      this.#work.answer(known.answer);
      return;
    }
    if (known !== undefined && known.card.requestedAt >= card.requestedAt) return;
    const { cardId, operation } = card;
    this.#newest.set(cardId, { card, answer: { cardId, operation, state: "running" } });
    this.#work.loops.alone(cardId, async () => await this.#run(card));
  }

  async #run(card: Card): Promise<void> {
    const { rescan, equipment } = this.#work;
    this.#tell(card, { state: "running" });
    try {
      await this.#execute(card);
      await rescan();
      this.#tell(card, { state: "succeeded" });
    } catch (error) {
      const { cardId, operation } = card;
      equipment.runtime.log("card-operation-failed", { cardId, operation, error: String(error) });
      // It may have come half way: what there is now has to be known before its end.
      await rescan();
      this.#tell(card, { state: "failed", error: wireErrorOf(error) });
    }
  }

  #tell({ cardId, operation }: Card, how: Pick<CardAnswer, "state" | "error">): void {
    const known = this.#newest.get(cardId);
    if (known?.card.operation !== operation) return;
    known.answer = { cardId, operation, ...how };
    this.#work.answer(known.answer);
  }

  async #execute(card: Card): Promise<void> {
    if (this.#work.trustedClock.judgingTime() >= card.deadline) {
      throw new Fault("WRONG_STATE", "the deadline of the operation has passed");
    }
    if (card.kind === "rescan") return;
    const sites = [...this.#work.sites()].filter((one) => one.place?.device.cardId === card.cardId);
    const device = sites[0]?.place?.device;
    if (device === undefined) throw new Fault("CARD_GONE", `card ${card.cardId} is not there`);
    for (const site of sites) {
      await requireFree(site, card.floors[site.id], this.#work.equipment);
    }
    await operate(this.#work.equipment, device, card);
  }
}

async function operate(
  { driver }: Equipment,
  device: InventoryDevice,
  { kind, layout, vfs }: Card,
): Promise<void> {
  if (kind === "rescan") return;
  if (driver.operate === undefined) {
    throw new Fault("INVALID_REQUEST", `driver ${driver.name} knows no operations on cards`);
  }
  await driver.operate(device, { kind, layout, vfs });
}
