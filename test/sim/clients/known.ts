import type { Random } from "../random.ts";
import type { ClientParts } from "./parts.ts";

/** A claim that an answer named; `isOver` once an answer said that it has ended. */
export interface KnownClaim {
  readonly id: string;
  readonly project: string;
  readonly isArq: boolean;
  instance: string | undefined;
  isOver: boolean;
}

/** The claims that clients were told of. */
export class KnownClaims {
  readonly #parts: ClientParts;
  readonly #all: KnownClaim[] = [];

  constructor(parts: ClientParts) {
    this.#parts = parts;
  }

  add(claim: Omit<KnownClaim, "isOver">): void {
    this.#all.push({ ...claim, isOver: false });
  }

  /** An answer said that it has ended. */
  over(one: KnownClaim): void {
    one.isOver = true;
    this.#parts.history.over(one.id, this.#parts.time.elapsed);
  }

  /** Any that is not over; undefined when there is none. */
  some(random: Random): KnownClaim | undefined {
    return this.#open(random, () => true);
  }

  /** One that was asked for at the native door. */
  native(random: Random): KnownClaim | undefined {
    return this.#open(random, ({ isArq }) => !isArq);
  }

  /** One that is an accelerator request. */
  arq(random: Random): KnownClaim | undefined {
    return this.#open(random, ({ isArq }) => isArq);
  }

  #open(random: Random, isMeant: (claim: KnownClaim) => boolean): KnownClaim | undefined {
    const open = this.#all.filter((one) => !one.isOver && isMeant(one));
    return open.length === 0 ? undefined : random.of(open);
  }
}
