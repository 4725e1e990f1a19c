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
  /** Placement has not agreed yet. */
  readonly allocating?: boolean | undefined;
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
      const { claim, project, instance, allocating } = taker;
      return {
        ...handle,
        fence: handle.fence + 1,
        state: "claimed",
        holder: { claim, project, instance, binding: true, allocating },
        plugged: false,
        target: undefined,
        attachment: undefined,
        error: undefined,
      };
    },
  );
  const program =
    image !== undefined && !hasLoaded(deployable, image)
      ? wishing(deployable, { image })
      : { wish: image === undefined ? keptWish(deployable) : { image }, clean: false };
  return revise(deployable, { handles, lastProject: takers[0]?.project, ...program }, now);
}

/**
 * A handle that another service gave to somebody before we came: it is that claim's from now on, as it
 * is. What was wished of the card meanwhile, such as the scrub of a card just found, is called off,
 * because it would fall upon a guest.
 */
export function adopt(deployable: Deployable, taker: Taker, now: number): Deployable {
  const { claim, project, instance, handle: name } = taker;
  const handles = withHandles(deployable, [name], (handle) => ({
    ...handle,
    fence: handle.fence + 1,
    state: "claimed",
    holder: { claim, project, instance, binding: false },
    plugged: false,
    target: undefined,
    attachment: undefined,
    error: undefined,
  }));
  const kept = isPending(deployable) ? wishing(deployable, {}) : { clean: false };
  return revise(deployable, { handles, lastProject: project, ...kept }, now);
}

/** Placement has agreed to what this claim holds: the wish may be seen. */
export function allocated(deployable: Deployable, name: string, now: number): Deployable {
  const handles = withHandles(deployable, [name], (handle) => {
    if (handle.holder === undefined) return handle;
    const { allocating: _allocating, ...holder } = handle.holder;
    return { ...handle, holder };
  });
  return revise(deployable, { handles }, now);
}

/**
 * The wish under a claim that asks for no image: what is loaded stays. A scrub that is done must not
 * stay wished, or an agent that lost its memory would do it again under the tenant.
 */
function keptWish(deployable: Deployable): Wish {
  if (heldHandles(deployable).length > 0) return deployable.wish;
  const { image } = deployable.wish;
  return image !== undefined && hasLoaded(deployable, image) ? { image } : {};
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
 * The last one out makes an `erase` card a scrub, after which a shareable image may be loaded again;
 * on any other card it stops a program that nobody waits for any more.
 */
export function release(deployable: Deployable, name: string, now: number): Deployable {
  const handles = withHandles(deployable, [name], dirty);
  const released = revise(deployable, { handles }, now);
  if (mustErase(released)) {
    return { ...released, ...wishing(released, { ...scrubWish(released), ...reload(released) }) };
  }
  const isUnwanted = isPending(released) && heldHandles(released).length === 0;
  return isUnwanted && released.programmable ? { ...released, ...wishing(released, {}) } : released;
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

/**
 * A bind that failed or missed its deadline: the handle is taken back and the card proven anew under
 * a new generation. The image that failed is not loaded again for nobody; other holders keep theirs.
 */
export function abandon(deployable: Deployable, name: string, now: number): Deployable {
  const freed = release(deployable, name, now);
  if (mustErase(freed)) return { ...freed, wish: scrubWish(freed) };
  const isNew = freed.imageGeneration > deployable.imageGeneration;
  if (isNew || !freed.programmable) return freed;
  const { image } = freed.wish;
  const isShared = heldHandles(freed).length > 0;
  return { ...freed, ...wishing(freed, isShared && image !== undefined ? { image } : {}) };
}

function mustErase(deployable: Deployable): boolean {
  return deployable.scrubMethod === "erase" && heldHandles(deployable).length === 0;
}

function scrubWish({ scrubMethod }: Deployable): Wish {
  return scrubMethod === undefined ? {} : { scrub: scrubMethod };
}

/** Only an image that was proven on this card comes back: one that fails would take it out of use. */
function reload(deployable: Deployable): Wish {
  const { image } = deployable.wish;
  const isProven = image?.keep === true && hasLoaded(deployable, image);
  return isProven && deployable.outcome.result === "ready" ? { image } : {};
}

/** A free card that lost its proof (new boot, new card, changed behind our back) is scrubbed again. */
export function scrubIfUnproven(deployable: Deployable, now: number): Deployable {
  const isDue =
    mustErase(deployable) &&
    !deployable.clean &&
    !isPending(deployable) &&
    deployable.present &&
    deployable.outcome.result !== "failed";
  if (!isDue) return deployable;
  return revise(deployable, wishing(deployable, { scrub: "erase" }), now);
}

/** An operator's order to try again on a card whose last generation failed. */
export function retry(deployable: Deployable, now: number): Deployable {
  const isFree = heldHandles(deployable).length === 0;
  const wish = isFree ? scrubWish(deployable) : deployable.wish;
  return revise(deployable, wishing(deployable, wish), now);
}

/**
 * Sets what the whole host or an operator says about it. Another boot id, or a card that vanished,
 * voids every proof (design §4).
 */
export function mark(
  deployable: Deployable,
  facts: Partial<Pick<Deployable, "hostOnline" | "enabled" | "present" | "hostName" | "bootId">>,
  now: number,
): Deployable {
  const same = Object.entries(facts).every(
    ([name, value]) => deployable[name as keyof typeof facts] === value,
  );
  if (same) return deployable;
  const marked = withoutProofs(deployable, { ...deployable, ...facts });
  const isCut = isPending(marked) && marked.bootId !== deployable.bootId;
  const proven = isCut ? startOver(marked, now) : scrubIfUnproven(marked, now);
  return { ...proven, revision: deployable.revision + 1, updatedAt: now };
}

/** `after` less the proofs that ended since `before`: all, when the host rebooted or the card is gone. */
export function withoutProofs(before: Deployable, after: Deployable): Deployable {
  const isRebooted = before.bootId !== undefined && after.bootId !== before.bootId;
  if (after.present && !isRebooted) return after;
  const handles = withHandles(after, Object.keys(after.handles), (handle) =>
    handle.state === "free" ? { ...handle, state: "releasing" } : handle,
  );
  const { functionId } = after.loaded;
  return { ...after, handles, clean: false, loaded: { functionId }, loadedType: undefined };
}

/**
 * Wishes the scrub of a free card once more, when a reboot came between: its agent may have finished
 * the generation without having told, and what it finished is void.
 */
export function startOver(deployable: Deployable, now: number): Deployable {
  return mustErase(deployable) && deployable.present
    ? revise(deployable, wishing(deployable, scrubWish(deployable)), now)
    : deployable;
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
    generation === deployable.imageGeneration
      ? {}
      : { imageGeneration: generation + 1, clean: false };
  return revise(deployable, { handles, ...raised }, now);
}
