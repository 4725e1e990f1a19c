import type { Claim } from "#domain/claim";
import { isWaiting } from "#domain/claim";
import { comingHandles, type Deployable, freeHandles } from "#domain/deployable";
import { Fault, isFault } from "#domain/faults";
import type { ActiveImage } from "#domain/image";
import { isCompatible } from "#domain/inventory";
import { misfits, type Requirement, rank } from "#domain/matching";
import { fits } from "#domain/packing";
import type { Provider } from "#domain/providers/provider";
import { imageTraits } from "#domain/traits";
import { type BindChoice, tryBind } from "#store/bind";
import { readClaim, waitingClaims } from "#store/claims";
import { deployablesOf } from "#store/deployables";
import { failWaiting } from "#store/release";
import type { Store } from "#store/store";
import type { Catalogue } from "./catalogue.ts";

/** What giving accelerator requests their handles needs. */
export interface Binding {
  readonly store: Store;
  readonly catalogue: Catalogue;
  /** What stands behind a Placement provider of a host; undefined: nobody knows it. */
  readonly provider: (
    hostName: string,
    provider: string,
    deployables: readonly Deployable[],
  ) => Pick<Provider, "members" | "handle"> | undefined;
  /** Traits that Placement would show for this card alone, also those in another system's words. */
  readonly traits: (hostName: string, deployable: Deployable) => readonly string[];
}

const mostTries = 8;

/**
 * Gives a waiting claim a handle behind its provider, with the image it asks for to be loaded. It
 * goes on waiting while a card that fits is being cleaned or prepared; when none ever could serve it
 * the bind fails with the reason. A claim that does not wait stays as it is.
 */
export async function assign(binding: Binding, known: Claim): Promise<Claim> {
  let claim = known;
  for (let attempt = 0; attempt < mostTries && isWaiting(claim); attempt += 1) {
    const step = await assignOnce(binding, claim);
    if (step !== "again") return step;
    await binding.store.sleep(binding.store.random() * 10 * 2 ** attempt);
    claim = (await readClaim(binding.store, claim.id)) ?? claim;
  }
  return claim;
}

/** Another look at every claim that waits on a host: a card of it is on offer again. */
export async function assignWaiting(binding: Binding, host: string): Promise<number> {
  const waiting = await waitingClaims(binding.store, host);
  const before = waiting.filter(isWaiting);
  const after: Claim[] = [];
  for (const claim of before) after.push(await assign(binding, claim));
  return after.filter((claim) => !isWaiting(claim)).length;
}

async function assignOnce(binding: Binding, claim: Claim): Promise<Claim | "again"> {
  const { store } = binding;
  try {
    const [members, images] = await Promise.all([
      membersOf(binding, claim),
      imagesOf(binding, claim),
    ]);
    if (members.length === 0) {
      return await failWaiting(store, claim, {
        code: "UNKNOWN_DEPLOYABLE",
        message: `host ${claim.hostName ?? ""} has nothing behind provider ${claim.provider ?? ""}`,
      });
    }
    const options = optionsOf(claim, members, images);
    const choice = bestOf(options);
    if (choice === undefined) return await waitOrFail(store, claim, options);
    const attempt = await tryBind(store, claim, choice);
    if (attempt.kind === "bound to") return attempt.claim;
    if (attempt.kind === "host silent") {
      return await failWaiting(store, claim, {
        code: "HOST_OFFLINE",
        message: `host ${claim.hostName ?? ""} is not connected`,
      });
    }
    if (attempt.kind === "image not active") binding.catalogue.forget(choice.image);
    return "again";
  } catch (error) {
    // What the request names is not there, or not for it: no card and no wait will mend that.
    const isHopeless = isFault(error, "UNKNOWN_IMAGE") || isFault(error, "IMAGE_NOT_ACTIVE");
    if (!isHopeless) throw error;
    return await failWaiting(store, claim, { code: error.code, message: error.message });
  }
}

/** A card behind the claim's provider, and the handles of it that the provider stands for. */
interface Member {
  readonly deployable: Deployable;
  readonly handles: readonly string[];
  /** Traits that Placement would show for it alone. */
  readonly shown: readonly string[];
}

async function membersOf(
  { store, provider, traits }: Binding,
  claim: Claim,
): Promise<readonly Member[]> {
  const { host, hostName = "", provider: id = "" } = claim;
  if (host === undefined) return [];
  const deployables = await deployablesOf(store, host);
  const found = provider(hostName, id, deployables);
  return deployables.flatMap((deployable) => {
    if (found?.members.includes(deployable.id) !== true) return [];
    const { handle } = found;
    const shown = traits(hostName, deployable);
    const handles = handle === undefined ? Object.keys(deployable.handles) : [handle];
    return [{ deployable, handles, shown }];
  });
}

/**
 * Images that would serve the claim, best first; `undefined` = as the card is. A trait that no card
 * has, such as a type of accelerator, may come with an image (design §9).
 */
async function imagesOf(
  { catalogue }: Binding,
  { project, asks }: Claim,
): Promise<readonly (ActiveImage | undefined)[]> {
  const viewer = { project, isAdmin: false };
  if (asks?.image !== undefined) return [await catalogue.get(asks.image, viewer)];
  const wanted = asks?.functionId?.toLowerCase();
  if (wanted !== undefined) {
    const found = await catalogue.find(viewer, (image) => image.functionId === wanted);
    if (found.length > 0) return found;
    throw new Fault("UNKNOWN_IMAGE", `no active image of function ${wanted}`);
  }
  const required = new Set(asks?.required ?? []);
  const helpful = await catalogue.find(viewer, (image) =>
    imageTraits(image).some((trait) => required.has(trait)),
  );
  return [undefined, ...helpful];
}

interface Option extends Member {
  readonly image: ActiveImage | undefined;
  readonly need: Requirement;
}

/** Pairs of card and image that could serve the claim as the card is built; not all are free now. */
function optionsOf(
  claim: Claim,
  members: readonly Member[],
  images: readonly (ActiveImage | undefined)[],
): readonly Option[] {
  const { project, asks } = claim;
  return images.flatMap((image) =>
    members
      .filter(({ deployable }) => image === undefined || isCompatible(deployable, image))
      .map((member): Option => {
        const required = (asks?.required ?? []).filter((trait) => !member.shown.includes(trait));
        const forbidden = asks?.forbidden ?? [];
        return {
          ...member,
          image,
          need: { project, resourceClasses: [], required, forbidden, image },
        };
      })
      .filter(({ deployable, need }) => misfits(deployable, need).length === 0),
  );
}

/** The first image that some card can take now, on the card with the best rank. */
function bestOf(options: readonly Option[]): BindChoice | undefined {
  const open = options.filter(
    (option) => fits(option.deployable, option.need) && openHandles(option).length > 0,
  );
  const [first] = open;
  if (first === undefined) return undefined;
  const [best] = open
    .filter(({ image }) => image === first.image)
    .toSorted((a, b) => rank(a.deployable, a.need) - rank(b.deployable, b.need));
  const [handle] = best === undefined ? [] : openHandles(best);
  if (best === undefined || handle === undefined) return undefined;
  return { deployable: best.deployable, handle, image: best.image };
}

function openHandles({ deployable, handles }: Member): readonly string[] {
  return freeHandles(deployable).filter((name) => handles.includes(name));
}

async function waitOrFail(store: Store, claim: Claim, options: readonly Option[]): Promise<Claim> {
  if (options.some(isComing)) return claim;
  const what = options.length === 0 ? "fits what is asked for" : "is free or being cleaned";
  return await failWaiting(store, claim, {
    code: "NO_CAPACITY",
    message: `no card behind provider ${claim.provider ?? ""} ${what}`,
  });
}

/** True for a card of which a handle becomes free by itself. */
function isComing({ deployable, handles }: Member): boolean {
  return comingHandles(deployable).some((name) => handles.includes(name));
}
