import type { Deployable } from "./deployable.ts";

/**
 * How often each image was asked for of late, as far as one process has seen: kept between its calls
 * and nowhere else, so that it costs nothing and may be wrong.
 */
export type Demand = Map<string, number>;

/** Requests that are remembered; then all weigh half, so that what was popular once is forgotten. */
const memory = 1_000;

/** One more request for an image. */
export function noteDemand(demand: Demand, image: string): void {
  demand.set(image, (demand.get(image) ?? 0) + 1);
  const sum = [...demand.values()].reduce((total, each) => total + each, 0);
  if (sum < memory) return;
  for (const [id, each] of demand) {
    if (each < 1) demand.delete(id);
    else demand.set(id, each / 2);
  }
}

/** What is nearly as little missed as the least: racing callers choose among these. */
const tolerance = 2;

/**
 * Of deployables that would lose what they have loaded, those whose image is missed least: one that
 * is seldom asked for, and of which there are more. The second copy of an image is needed only while
 * the first is in use, so its worth falls with the square of the copies (measured by the benchmark
 * `choice`).
 */
export function leastMissed(
  deployables: readonly Deployable[],
  demand: Demand,
): readonly Deployable[] {
  const imageOf = ({ loaded }: Deployable) => loaded.imageId ?? "";
  const copies = Map.groupBy(deployables, imageOf);
  const worthOf = (one: Deployable): number => {
    const asked = (demand.get(imageOf(one)) ?? 0) + 0.5;
    return asked / (copies.get(imageOf(one))?.length ?? 1) ** 2;
  };
  const least = Math.min(...deployables.map(worthOf));
  return deployables.filter((one) => worthOf(one) <= least * tolerance);
}
