import type { GlanceHash, SaidIds, Told } from "#domain/glance-link";
import type { Image, SignedManifest, Visibility } from "#domain/image";
import { type ImageState, imageLifecycle, next } from "#domain/lifecycle";

/** What Glance says of one image, in our words. */
export interface GlanceFacts {
  /** Glance's uuid, and ours. */
  readonly id: string;
  readonly project: string;
  readonly name: string;
  readonly visibility: Visibility;
  /** Empty while nobody said it. */
  readonly vendor: string;
  readonly type: string;
  readonly said: SaidIds;
  readonly manifest?: SignedManifest | undefined;
  /** Why it is not to be used there; absent: it is. */
  readonly withheld?: string | undefined;
  readonly size?: number | undefined;
  readonly md5?: string | undefined;
  readonly hash?: GlanceHash | undefined;
  /** Of all of the above. */
  readonly digest: string;
}

/** A judgement that did not come is asked for again after this long. */
const verdictMs = 120_000;

/** So long an image that Glance lost may come back, for instance when our account had lost a role. */
export const goneMs: number = 24 * 3_600_000;

/** A new image as Glance describes it; it waits for its copy, or for what its properties lack. */
export function imageFromGlance(facts: GlanceFacts, now: number): Image {
  const { id, project, name, visibility, vendor, type, manifest } = facts;
  return {
    id,
    project,
    name,
    vendor,
    type,
    visibility,
    manifest,
    state: "pending",
    reason: lacking(facts),
    objectKey: `images/${project}/${id}`,
    ...expectedOf(facts),
    glance: { ...linkOf(facts), copied: 0, tries: 0, dueAt: now },
    createdAt: now,
    updatedAt: now,
    revision: 0,
  };
}

/**
 * The image after what Glance says now; the same object when that is nothing new, or nothing to us:
 * a retired image stays retired, and one of ours is not read back.
 */
export function followGlance(image: Image, facts: GlanceFacts, now: number): Image {
  const { glance, state } = image;
  const isKnown = glance?.digest === facts.digest && glance.missingSince === undefined;
  if (glance === undefined || state === "retired" || isKnown) return image;
  const isCorrected = isHealing(image, facts);
  const moved = moveOf(image, facts, isCorrected);
  const described = describe(image, facts, moved.state);
  return {
    ...described,
    ...moved,
    glance: {
      ...glance,
      ...linkOf(facts),
      missingSince: undefined,
      dueAt: moved.state === "verifying" ? now + verdictMs : now,
    },
    updatedAt: now,
  };
}

/**
 * Glance does not know the image any more: it is withheld at once, and retired when that stays so
 * for {@link goneMs}.
 */
export function lostInGlance(image: Image, now: number): Image {
  const { glance } = image;
  if (glance === undefined || image.state === "retired") return image;
  const since = glance.missingSince ?? now;
  const isOver = now - since >= goneMs;
  if (!isOver && glance.missingSince !== undefined) return image;
  const moved = isOver ? retired(image) : withheld(image, "deleted in Glance");
  return { ...image, ...moved, glance: { ...glance, missingSince: since }, updatedAt: now };
}

/** True for an image that is out of use only because Glance withholds it. */
export function isWithheld({ state, reason, glance }: Image): boolean {
  return glance !== undefined && state === "rejected" && reason?.code === "IMAGE_NOT_ACTIVE";
}

/** True while an image of Glance waits for its copy or its judgement. */
export function isOnItsWay({ state, reason, glance }: Image): boolean {
  if (glance === undefined) return false;
  return state === "verifying" || (state === "pending" && reason === undefined);
}

/** What Glance is to be told of an image of ours; undefined before it was ever active. */
export function wishFor({ state, registration }: Image): Told | undefined {
  if (registration === undefined) return undefined;
  if (state === "active") return "active";
  if (registration.told === undefined && registration.tries === 0) return undefined;
  return state === "retired" ? "deleted" : "deactivated";
}

/** When the clock has something to do for an image and Glance, in ms; undefined: nothing. */
export function glanceDue(image: Image): number | undefined {
  if (isOnItsWay(image)) return image.glance?.dueAt;
  const { registration } = image;
  const wish = wishFor(image);
  const isOwed = wish !== undefined && wish !== registration?.told;
  return isOwed && registration?.isRefused !== true ? registration?.dueAt : undefined;
}

type Move = Pick<Image, "state" | "reason">;

function moveOf(image: Image, facts: GlanceFacts, isCorrected: boolean): Move {
  if (facts.withheld !== undefined) return withheld(image, facts.withheld);
  const { state, reason } = image;
  if (state === "pending") return { state, reason: lacking(facts) };
  const resumed = isWithheld(image) || isCorrected ? move(state, "resume") : undefined;
  return resumed === undefined ? { state, reason } : { state: resumed, reason: lacking(facts) };
}

function withheld({ state, reason }: Image, why: string): Move {
  const moved = move(state, "withhold");
  return moved === undefined
    ? { state, reason }
    : { state: moved, reason: { code: "IMAGE_NOT_ACTIVE", message: why } };
}

function retired({ state, reason }: Image): Move {
  return { state: move(state, "retire") ?? state, reason };
}

function move(state: ImageState, event: "withhold" | "resume" | "retire"): ImageState | undefined {
  return next(imageLifecycle, state, event);
}

/** An image that was refused for what was said of it is judged again when something else is said. */
function isHealing({ state, reason, vendor, type, glance }: Image, facts: GlanceFacts): boolean {
  if (state !== "rejected" || reason?.code !== "IMAGE_METADATA_MISMATCH") return false;
  const { format, interfaceId, functionId } = glance?.said ?? {};
  const before = [vendor, type, format, interfaceId, functionId];
  const { said } = facts;
  const after = [facts.vendor, facts.type, said.format, said.interfaceId, said.functionId];
  return before.some((fact, index) => fact !== after[index]);
}

/** Whose format each maker's cards take; a raw image may be for any. */
const makers: Readonly<Record<string, string>> = { gbs: "intel", xclbin: "xilinx", afi: "xilinx" };

/** What may be said anew of an image: everything, until its bytes or its signature contradict it. */
function describe(image: Image, facts: GlanceFacts, state: ImageState): Image {
  const { name, project, visibility } = facts;
  const taken = agrees(image, facts) ? { vendor: facts.vendor, type: facts.type } : {};
  // Later only a judgement says what an image is signed by.
  const isUnjudged = state === "pending" || state === "verifying";
  const manifest = isUnjudged ? { manifest: facts.manifest ?? image.manifest } : {};
  return { ...image, name, project, visibility, ...taken, ...manifest };
}

function agrees({ state, format, manifest }: Image, { vendor, type }: GlanceFacts): boolean {
  if (state !== "active") return true;
  const maker = makers[format ?? ""] ?? vendor;
  const stated = manifest?.statement ?? { vendor, type };
  const isComplete = vendor !== "" && type !== "";
  return isComplete && maker === vendor && stated["vendor"] === vendor && stated["type"] === type;
}

function linkOf({ digest, said, size, hash }: GlanceFacts) {
  return { digest, said, size, hash };
}

function expectedOf({ size, md5, hash }: GlanceFacts): Pick<Image, "expected"> {
  const expected = {
    ...(size === undefined ? {} : { size }),
    ...(md5 === undefined ? {} : { md5 }),
    ...(hash?.algorithm === "sha256" ? { sha256: hash.value } : {}),
  };
  return { expected };
}

function lacking({ vendor, type }: GlanceFacts): Image["reason"] {
  const absent = Object.entries({ vendor, type }).flatMap(([name, said]) =>
    said === "" ? [name] : [],
  );
  return absent.length === 0
    ? undefined
    : { code: "INVALID_REQUEST", message: `waiting for the property ${absent.join(" and ")}` };
}
