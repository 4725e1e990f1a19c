import type { Report } from "#protocol/wire/messages";
import type { Loaded, WireError } from "#protocol/wire/shapes";
import { isOccupied } from "./occupied.ts";
import { isHandleClean } from "./plan-handles.ts";
import type { Site } from "./site.ts";
import type { Reality, Wish } from "./step.ts";

/** A report without what the session adds: epoch, seq and a receipt to carry. */
export type ReportBody = Pick<
  Report,
  | "deployable"
  | "bootId"
  | "imageGeneration"
  | "revision"
  | "phase"
  | "percent"
  | "loaded"
  | "health"
  | "clean"
  | "handles"
  | "error"
>;

/** What is, in the words of the wire. */
export function describe(site: Site, wish: Wish | undefined, reality: Reality): ReportBody {
  const { marks } = site;
  const error = errorOf(site);
  return {
    deployable: site.id,
    bootId: site.bootId,
    imageGeneration: marks.work?.generation ?? marks.imageGeneration,
    revision: site.wish?.revision ?? 0,
    phase: site.phase,
    ...(site.percent === undefined ? {} : { percent: site.percent }),
    loaded: loadedNow(site, reality),
    health: reality.health,
    clean: isClean(site, reality),
    handles: handlesNow(site, wish, reality),
    ...(error === undefined ? {} : { error }),
  };
}

/** A generation that failed is told by its own error, whatever keeps the card busy since. */
function errorOf({ phase, trouble, refused, notice, marks }: Site): WireError | undefined {
  const ended = marks.work?.error;
  return phase === "failed" ? (ended ?? trouble) : (trouble ?? ended ?? refused ?? notice);
}

/** Which image it is, is our memory's word: it counts under its boot and while the card agrees. */
function loadedNow({ marks }: Site, { loaded, bootId }: Reality): Loaded {
  const known = marks.loaded;
  if (known?.bootId !== bootId || known.functionId !== loaded.functionId) return loaded;
  return { ...loaded, imageId: known.imageId, sha256: known.sha256 };
}

function isClean({ marks }: Site, { bootId, loaded }: Reality): boolean {
  const { clean } = marks;
  return clean?.bootId === bootId && clean.functionId === loaded.functionId;
}

function handlesNow(site: Site, wish: Wish | undefined, reality: Reality): ReportBody["handles"] {
  const entries = Object.keys(reality.handles).map((name) => {
    const fence = site.fences[name] ?? 0;
    const plugged = isPlugged(site, name, wish, reality);
    const attachment = site.journal.handles[name]?.plug?.attachment;
    const error = site.rest.errorOf(name);
    const handle = {
      fence,
      state: plugged ? ("plugged" as const) : ("unplugged" as const),
      clean: !plugged && isHandleClean(name, fence, reality.bootId, site),
      ...(plugged && attachment !== undefined ? { attachment } : {}),
      ...(error === undefined ? {} : { error }),
    };
    return [name, handle] as const;
  });
  return Object.fromEntries(entries);
}

/**
 * Each side gets the careful answer: a handle that should be in a guest is plugged when the plugin
 * said so, one that should not is plugged until it is proven to be out.
 */
function isPlugged(site: Site, name: string, wish: Wish | undefined, reality: Reality): boolean {
  const held = (reality.handles[name]?.holders.length ?? 0) > 0;
  if (wish?.handles[name]?.plugged !== true) return isOccupied(name, reality, memoryOf(site));
  const plug = site.journal.handles[name]?.plug;
  return held || (plug?.attachment !== undefined && plug.bootId === reality.bootId);
}

function memoryOf({ marks, journal, rest }: Site) {
  return { marks, journal, resting: rest.resting() };
}
