import {
  type Deployable,
  type Handle,
  heldHandles,
  isPending,
  type WantedImage,
  type Wish,
} from "./deployable.ts";

/** Pure moves of one deployable. Each returns the new value with its revision raised by one. */

/** A claim that takes a handle. */
export interface Taker {
  readonly claim: string;
  readonly project: string;
  readonly instance?: string | undefined;
  readonly handle: string;
}

function revise(deployable: Deployable, change: Partial<Deployable>, now: number): Deployable {
  return { ...deployable, ...change, revision: deployable.revision + 1, updatedAt: now };
}

function withHandles(
  deployable: Deployable,
  names: readonly string[],
  change: (handle: Handle, name: string) => Handle,
): Deployable["handles"] {
  return Object.fromEntries(
    Object.entries(deployable.handles).map(([name, handle]) => [
      name,
      names.includes(name) ? change(handle, name) : handle,
    ]),
  );
}

/** Raises the image generation for a new wish: the agent will scrub and/or program once for it. */
function wishing(deployable: Deployable, wish: Wish): Partial<Deployable> {
  return { wish, imageGeneration: deployable.imageGeneration + 1, clean: false };
}

/** True when the card holds these very bytes, by our own record and not by the function id alone. */
export function hasLoaded(deployable: Deployable, image: { readonly sha256: string }): boolean {
  return deployable.loaded.sha256 === image.sha256 && deployable.loaded.functionId !== null;
}

/**
 * Grants handles: fence + 1 each, and a new image generation when the wanted image is not loaded.
 * The caller has checked offerability and consent.
 */
export function grant(
  deployable: Deployable,
  takers: readonly Taker[],
  image: WantedImage | undefined,
  now: number,
): Deployable {
  const handles = withHandles(
    deployable,
    takers.map((taker) => taker.handle),
    (handle, name) => {
      const taker = takers.find((one) => one.handle === name);
      if (taker === undefined) return handle;
      const { claim, project, instance } = taker;
      return {
        ...handle,
        fence: handle.fence + 1,
        state: "claimed",
        holder: { claim, project, instance, binding: true },
        plugged: false,
        target: undefined,
        attachment: undefined,
        error: undefined,
      };
    },
  );
  const program =
    image === undefined
      ? { clean: false }
      : hasLoaded(deployable, image)
        ? { wish: { image }, clean: false }
        : wishing(deployable, { image });
  return revise(deployable, { handles, lastProject: takers[0]?.project, ...program }, now);
}

/** A new image on a claimed deployable: the developer's loop. Consent of all holders is checked before. */
export function program(deployable: Deployable, wish: Wish, now: number): Deployable {
  return revise(deployable, wishing(deployable, wish), now);
}

/** Asks for a handle to be plugged into `target`. */
export function attach(
  deployable: Deployable,
  name: string,
  target: NonNullable<Handle["target"]>,
  now: number,
): Deployable {
  const handles = withHandles(deployable, [name], (handle) => ({
    ...handle,
    plugged: true,
    target,
    error: undefined,
  }));
  return revise(deployable, { handles }, now);
}

/** Asks for a handle to be unplugged and kept by its claim. */
export function detach(deployable: Deployable, name: string, now: number): Deployable {
  const handles = withHandles(deployable, [name], (handle) => ({
    ...handle,
    plugged: false,
    error: undefined,
  }));
  return revise(deployable, { handles }, now);
}

/**
 * Takes a handle off its claim: fence + 1, dirty until the agent proves it unplugged and clean.
 * The last one out makes an `erase` card a scrub, after which a shareable image may be loaded again.
 */
export function release(deployable: Deployable, name: string, now: number): Deployable {
  const handles = withHandles(deployable, [name], dirty);
  const released = revise(deployable, { handles }, now);
  return mustErase(released)
    ? { ...released, ...wishing(released, cleanWish(released)) }
    : released;
}

function dirty(handle: Handle): Handle {
  return {
    ...handle,
    fence: handle.fence + 1,
    state: "releasing",
    holder: undefined,
    plugged: false,
    target: undefined,
    error: undefined,
  };
}

/** A bind that failed or missed its deadline: the handle is taken back and the card proven anew. */
export function abandon(deployable: Deployable, name: string, now: number): Deployable {
  const freed = release(deployable, name, now);
  if (freed.imageGeneration > deployable.imageGeneration || !freed.programmable) return freed;
  return { ...freed, ...wishing(freed, {}) };
}

function mustErase(deployable: Deployable): boolean {
  return deployable.scrubMethod === "erase" && heldHandles(deployable).length === 0;
}

function cleanWish(deployable: Deployable): Wish {
  const { image } = deployable.wish;
  return { scrub: "erase", image: image?.keep === true ? image : undefined };
}

/** A free card that lost its proof (new boot, new card, changed behind our back) is scrubbed again. */
export function scrubIfUnproven(deployable: Deployable, now: number): Deployable {
  const unproven =
    mustErase(deployable) &&
    !deployable.clean &&
    !isPending(deployable) &&
    deployable.present &&
    deployable.outcome.result !== "failed";
  if (!unproven) return deployable;
  return revise(deployable, wishing(deployable, { scrub: "erase" }), now);
}

/** An operator's order to try again on a card whose last generation failed. */
export function retry(deployable: Deployable, now: number): Deployable {
  const wish = heldHandles(deployable).length === 0 ? cleanWish(deployable) : deployable.wish;
  return revise(deployable, wishing(deployable, wish), now);
}

/** Sets what the whole host or an operator says about it. */
export function mark(
  deployable: Deployable,
  facts: Partial<Pick<Deployable, "hostOnline" | "enabled" | "present" | "hostName">>,
  now: number,
): Deployable {
  const same = Object.entries(facts).every(
    ([name, value]) => deployable[name as keyof typeof facts] === value,
  );
  return same ? deployable : revise(deployable, facts, now);
}

/**
 * Lifts counters above what the agent remembers (design §6): a fence and an image generation never
 * fall, also when the table was restored from an older copy.
 */
export function lift(
  deployable: Deployable,
  marks: { readonly imageGeneration: number; readonly fences: { readonly [name: string]: number } },
  now: number,
): Deployable {
  const behind = Object.entries(deployable.handles).filter(
    ([name, handle]) => (marks.fences[name] ?? 0) > handle.fence,
  );
  const generation = Math.max(deployable.imageGeneration, marks.imageGeneration);
  if (behind.length === 0 && generation === deployable.imageGeneration) return deployable;
  const handles = withHandles(
    deployable,
    behind.map(([name]) => name),
    (handle, name) => ({ ...handle, fence: (marks.fences[name] ?? 0) + 1 }),
  );
  const raised =
    generation === deployable.imageGeneration ? {} : { imageGeneration: generation + 1 };
  return revise(deployable, { handles, ...raised }, now);
}
