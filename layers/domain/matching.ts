import { type Deployable, freeHandles, heldHandles, notOfferable } from "./deployable.ts";
import { customTraits } from "./inventory.ts";
import { imageTraits } from "./traits.ts";
import { hasLoaded } from "./transitions.ts";

/** What a claim needs of a deployable, all names resolved. */
export interface Requirement {
  readonly project: string;
  readonly resourceClasses: readonly string[];
  readonly host?: string | undefined;
  readonly deployable?: string | undefined;
  readonly required: readonly string[];
  readonly forbidden: readonly string[];
  readonly image?: RequiredImage | undefined;
  /** Deployables that another system has promised to somebody else. */
  readonly avoid?: ReadonlySet<string> | undefined;
}

/** The image to be loaded, as far as matching needs it. */
export interface RequiredImage {
  readonly id: string;
  readonly sha256: string;
  readonly functionId: string;
  readonly interfaceId?: string | undefined;
  readonly type: string;
}

/** Traits a deployable has, or would have with `image` loaded. */
export function traitsWith(
  deployable: Deployable,
  image: RequiredImage | undefined,
): ReadonlySet<string> {
  const loaded = { functionId: deployable.loaded.functionId, type: deployable.loadedType };
  const own = [...deployable.traits, ...customTraits(deployable)];
  return new Set([...own, ...imageTraits(image ?? loaded)]);
}

/** Why a deployable can never serve this requirement as it is built; empty = it could. */
export function misfits(deployable: Deployable, need: Requirement): readonly string[] {
  const reasons: string[] = [];
  const { resourceClass } = deployable;
  if (need.deployable !== undefined && need.deployable !== deployable.id) {
    reasons.push("another deployable was asked for");
  }
  if (need.host !== undefined && need.host !== deployable.host) {
    reasons.push(`it is on host ${deployable.hostName}`);
  }
  if (need.resourceClasses.length > 0 && !need.resourceClasses.includes(resourceClass)) {
    reasons.push(`its resource class is ${resourceClass}`);
  }
  reasons.push(...imageMisfits(deployable, need.image), ...traitMisfits(deployable, need));
  return reasons;
}

function imageMisfits(deployable: Deployable, image: RequiredImage | undefined): readonly string[] {
  if (image === undefined) return [];
  if (!deployable.programmable) return ["it cannot be programmed"];
  return image.interfaceId === undefined || image.interfaceId === deployable.interfaceId
    ? []
    : [`the image is for region ${image.interfaceId}`];
}

function traitMisfits(deployable: Deployable, need: Requirement): readonly string[] {
  // Most claims name no trait, and every candidate of every claim passes here.
  if (need.required.length === 0 && need.forbidden.length === 0) return [];
  const traits = traitsWith(deployable, need.image);
  return [
    ...need.required.filter((trait) => !traits.has(trait)).map((trait) => `it lacks ${trait}`),
    ...need.forbidden.filter((trait) => traits.has(trait)).map((trait) => `it has ${trait}`),
  ];
}

/** Why a deployable that would fit cannot be had by this project now; empty = it can. */
export function obstacles(deployable: Deployable, need: Requirement): readonly string[] {
  return [...notOfferable(deployable), ...sharingObstacles(deployable, need)];
}

function sharingObstacles(deployable: Deployable, need: Requirement): readonly string[] {
  if (need.avoid?.has(deployable.id) === true) return ["Placement has promised it to others"];
  if (isLeftByOther(deployable, need.project)) {
    return ["another project's use of it is not proven to be over"];
  }
  const others = heldHandles(deployable).map(([, handle]) => handle.holder);
  if (others.length === 0) return [];
  if (
    deployable.sharing === "project" &&
    others.some((holder) => holder?.project !== need.project)
  ) {
    return ["another project holds a part of it"];
  }
  return need.image === undefined || hasLoaded(deployable, need.image)
    ? []
    : ["programming it would disturb its other claims"];
}

/**
 * True while a project that shares with nobody may still have a part of it in a guest, or has left
 * its logic on a card that can only be reset: that is enough for the same project only (design §4).
 */
function isLeftByOther(deployable: Deployable, project: string): boolean {
  const { lastProject, sharing, scrubMethod, programmable } = deployable;
  if (lastProject === undefined || lastProject === project) return false;
  const isDirty = Object.values(deployable.handles).some(({ state }) => state === "releasing");
  return (isDirty && sharing !== "any") || (programmable && scrubMethod === "reset");
}

/** The rank of a card that must lose its image for the wanted one. */
export const worstRank = 2;

/** Lower is better: the image is loaded already, then a blank card, then one that must be erased. */
export function rank(deployable: Deployable, need: Requirement): number {
  if (need.image === undefined) return deployable.loaded.functionId === null ? 0 : 1;
  if (hasLoaded(deployable, need.image)) return 0;
  return deployable.loaded.functionId === null ? 1 : worstRank;
}

/** How many handles of it one request may take. */
export function capacity(deployable: Deployable): number {
  const free = freeHandles(deployable).length;
  return deployable.sharing === "none" ? Math.min(free, 1) : free;
}
