import * as z from "zod/mini";
import { chainStart, receipt } from "#protocol/wire/receipt";
import { counter, fences, label, sha256, uuid, wireError } from "#protocol/wire/shapes";

/** How far the newest image generation is. `outcome` is set once; then the generation is done. */
const generationWork = z.object({
  generation: counter,
  /** Attempts that failed; two end the generation (design §5). */
  tries: counter,
  /** Boot under which its scrub was proven. */
  scrubbed: z.exactOptional(uuid),
  /** Operation that loaded its image. */
  programmed: z.exactOptional(uuid),
  outcome: z.exactOptional(z.enum(["ready", "failed"])),
  error: z.exactOptional(wireError),
});
export type GenerationWork = z.infer<typeof generationWork>;

/**
 * What the agent must never forget of one deployable, valid across boots (design §1.4): counters,
 * the outcome of the newest generation, the receipt chain with what is not acknowledged, and proofs
 * of cleanliness, which carry the boot id they hold for.
 */
export const marksSchema = z.object({
  imageGeneration: counter,
  fences,
  work: z.exactOptional(generationWork),
  /** The last operation whose result is in this file; the journal's word on it is void. */
  lastOperation: z.exactOptional(uuid),
  chain: z.object({ number: counter, digest: sha256 }),
  receipts: z.array(receipt),
  clean: z.exactOptional(z.object({ bootId: uuid, functionId: z.nullable(uuid) })),
  handleClean: z.record(z.string(), z.object({ bootId: uuid, fence: counter })),
  loaded: z.exactOptional(
    z.object({ bootId: uuid, functionId: uuid, imageId: label, sha256: sha256 }),
  ),
});
export type DeployableMarks = z.infer<typeof marksSchema>;

/** Marks of a deployable that was never touched. */
export const noMarks: DeployableMarks = {
  imageGeneration: 0,
  fences: {},
  chain: { number: 0, digest: chainStart },
  receipts: [],
  handleClean: {},
};

/** Counters that only grow: the higher of both, handle by handle. */
export function higherFences(
  one: DeployableMarks["fences"],
  other: DeployableMarks["fences"],
): DeployableMarks["fences"] {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return Object.fromEntries(
    [...names].sort().map((name) => [name, Math.max(one[name] ?? 0, other[name] ?? 0)]),
  );
}

/** What the cloud remembers of one deployable; `head` is absent when it stored no receipt. */
export interface Floor {
  readonly imageGeneration: number;
  readonly fences: DeployableMarks["fences"];
  readonly head?: { readonly number: number; readonly digest: string };
}

/**
 * Marks lifted to what the cloud remembers, never lowered. A chain the cloud knows further is taken
 * over with its receipts, since the cloud stores them in order.
 */
export function lifted(marks: DeployableMarks, floor: Floor): DeployableMarks {
  const { head } = floor;
  const ahead = head !== undefined && head.number > marks.chain.number;
  return {
    ...marks,
    imageGeneration: Math.max(marks.imageGeneration, floor.imageGeneration),
    fences: higherFences(marks.fences, floor.fences),
    chain: ahead ? { number: head.number, digest: head.digest } : marks.chain,
    receipts: marks.receipts.filter(({ body }) => body.number > (head?.number ?? 0)),
  };
}
