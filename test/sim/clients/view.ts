import type { Claim } from "#domain/claim";
import type { History } from "../history.ts";

/** A claim as an answer shows it. */
export interface View {
  readonly id: string;
  readonly project: string;
  readonly state: Claim["state"];
  readonly deployable?: string;
  readonly handle?: string;
  readonly fence?: number;
}

/** What the history hears of a claim that an answer showed with its handle, between two moments (ms). */
export function heldBy(claim: View, from: number, to: number): Parameters<History["held"]> {
  const { deployable = "", handle = "", fence = -1 } = claim;
  return [{ handle: `${deployable}/${handle}`, claim: claim.id, fence }, from, to];
}
