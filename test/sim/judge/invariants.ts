/** What always holds (design §4), by the names that a violation is told under. */
export const invariants = {
  I1: "a handle has at most one claim, and the claim names the handle",
  I2: "a fence and an image generation never fall",
  I3: "left = limit - claims held",
  I4: "what is granted is offered at that moment, and the pool holds nothing else",
  I5: "a bound claim is never lost and never silently changed",
  I6: "program and erase run only while nobody else is disturbed",
  I7: "every claim comes to its end in bounded time",
  I8: "nothing is left behind",
  scrubbed: "scrubbed before re-offered",
  chain: "the receipt chain is unbroken",
  own: "a release touches only its own",
  tenant: "a tenant sees only its own",
  linear: "the history of each handle is linearizable",
  once: "what was asked for once happens once",
  ahead: "what is done to a card is on the agent's disk before it is done",
  verified: "an image is active when it was verified, and stays what it is",
  alive: "every card is offered again and every image judged when the faults are over",
} as const;
export type Invariant = keyof typeof invariants;

/** The first thing that was wrong, and when (ms since the run began). */
export interface Violation {
  readonly invariant: Invariant;
  readonly message: string;
  readonly at: number;
}

/** Writes down what is wrong. */
export type Fail = (invariant: Invariant, message: string) => void;

/** As much of an id as a message needs. */
export const short = (id: string): string => id.slice(0, 8);
