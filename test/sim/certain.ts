import { type FaultKind, Faults } from "./faults.ts";
import { type Random, streamsOf } from "./random.ts";

/** A stream in which whatever may happen does; its other numbers are a seed's as usual. */
export function certain(seed = 1): Random {
  return { ...streamsOf(seed)("certain"), chance: (probability) => probability > 0 };
}

/** Faults of these kinds alone: with a {@link certain} stream they strike each time. */
export function faultsOf(...kinds: readonly FaultKind[]): Faults {
  return new Faults({ ...certain(), next: () => 1 }, kinds);
}
