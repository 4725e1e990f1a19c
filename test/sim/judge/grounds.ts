import type { Cards } from "../cards.ts";
import type { Shelf } from "../shelf.ts";
import type { Time } from "../time.ts";
import type { Account } from "./account.ts";
import type { Fail } from "./invariants.ts";

/** What a judgement rests on: the time, what was written, and the truth about the cards. */
export interface Grounds {
  readonly time: Time;
  readonly account: Account;
  readonly cardsOf: (host: string) => Cards | undefined;
  readonly shelf: Shelf;
  /** What the bucket has under a digest. */
  readonly verified: (sha256: string) => Buffer | undefined;
  readonly fail: Fail;
}
