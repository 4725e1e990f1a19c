import type { Deployable } from "#domain/deployable";

/** Why nobody may be granted this now; written from the design and not from the code. */
export function notOffered(one: Deployable): string | undefined {
  const handles = Object.values(one.handles);
  const held = handles.filter(({ holder }) => holder !== undefined);
  const facts: readonly (readonly [boolean, string])[] = [
    [!one.present, "the card is gone"],
    [!one.hostOnline, "its host is silent"],
    [one.health.state !== "ok" && one.health.state !== "unmonitored", "it is unhealthy"],
    [!one.enabled, "an operator disabled it"],
    [one.cardOperation !== undefined, "its card is operated on"],
    [one.scrubMethod === undefined, "it cannot be scrubbed"],
    [one.outcome.generation < one.imageGeneration, "a generation is under way"],
    [one.outcome.result === "failed", "its last generation failed"],
    [one.scrubMethod === "erase" && held.length === 0 && !one.clean, "it is not clean"],
    [!handles.some((one) => one.state === "free" && one.attachable), "no handle is free"],
    [one.sharing === "none" && held.length > 0, "it is claimed and not shared"],
  ];
  return facts.find(([isSo]) => isSo)?.[1];
}
