import type { Image } from "./image.ts";

/** A judgement of an image that was begun or is owed. */
export interface OwedJudgement {
  /** When it is taken up again if nothing came of it by then, ms since 1970. */
  readonly dueAt: number;
  /** How often it was taken up again. */
  readonly tries: number;
}

/**
 * Twice what a judgement may take (serverless.yml: 300 s), so that one that is merely slow, or is
 * tried again by AWS, is left alone.
 */
export const verdictMs = 600_000;

/** After this many, ten hours after the first judgement began, the image is refused. */
export const mostTries = 5;

/** The judgement that begins now, or is owed: the next waits twice as long each time. */
export function judgementAt(now: number, tries = 0): OwedJudgement {
  return { dueAt: now + verdictMs * 2 ** tries, tries };
}

/**
 * When the clock takes up the judgement of an image that lies in our bucket, ms; undefined when none
 * is owed. Images of Glance have obligations of their own (glance.ts).
 */
export function judgementDue({ state, reason, judgement, glance }: Image): number | undefined {
  const isOpen = state === "verifying" || (state === "pending" && reason === undefined);
  return isOpen && glance === undefined ? judgement?.dueAt : undefined;
}
