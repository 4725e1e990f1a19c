import type { ObjectVersion } from "./bucket.ts";
import type { Faults } from "./faults.ts";
import type { Random } from "./random.ts";
import type { Time } from "./time.ts";

/** What the way from the bucket to its function is made of. */
export interface UploadParts {
  readonly time: Time;
  readonly faults: Faults;
  readonly random: Random;
  /** Runs the function once; true when it came to its end. */
  readonly judge: (object: ObjectVersion) => Promise<boolean>;
}

/** Lambda tries an event that failed twice more: after one minute, then after two. */
const waits = [60_000, 120_000] as const;

/** The bucket's events on their way to the function that judges: late, doubled, never lost. */
export class Uploads {
  readonly #parts: UploadParts;
  #dead: ObjectVersion[] = [];

  constructor(parts: UploadParts) {
    this.#parts = parts;
  }

  /** An object was put or tagged. */
  changed(object: ObjectVersion): void {
    const { faults, random } = this.#parts;
    this.#send(object);
    if (faults.strikes("event-double", random)) this.#send(object);
  }

  /** What an operator does about dead letters. */
  redrive(): void {
    const letters = this.#dead;
    this.#dead = [];
    for (const object of letters) this.#send(object);
  }

  #send(object: ObjectVersion): void {
    const { time, faults, random } = this.#parts;
    const late = faults.strikes("event-late", random) ? random.below(60_000) : random.below(500);
    time.after(20 + late, () => void this.#deliver(object, 0));
  }

  async #deliver(object: ObjectVersion, tries: number): Promise<void> {
    if (await this.#parts.judge(object)) return;
    const wait = waits[tries];
    if (wait === undefined) this.#dead.push(object);
    else this.#parts.time.after(wait, () => void this.#deliver(object, tries + 1));
  }
}
