import { Fault } from "#domain/faults";
import { uuidOf } from "#protocol/uuid";
import type { Place, Work } from "../../drivers/driver.ts";
import { seenFences } from "../intake.ts";
import type { Equipment } from "../ports.ts";
import type { Site } from "../site.ts";
import type { StepOf } from "../step.ts";

/** What an executor is given beside its step. */
export interface StepContext {
  readonly site: Site;
  readonly place: Place;
  readonly equipment: Equipment;
  readonly work: Work;
}

/** A newer wish made the step pointless before its touch; the next plan starts from that wish. */
export class Superseded extends Error {
  constructor() {
    super("a newer wish came first");
    this.name = "Superseded";
  }
}

/** Last look before an irreversible act: is this generation still the newest heard of? */
export function requireGeneration({ site }: StepContext, generation: number): void {
  const newest = Math.max(site.marks.imageGeneration, site.newest?.imageGeneration ?? 0);
  if (newest !== generation) throw new Superseded();
}

/** Last look before a handle goes to a guest or is cleaned: fence and wish still as planned? */
export function requireFence(
  { site }: StepContext,
  { handle, fence }: StepOf<"bind" | "plug" | "clean-handle">,
): void {
  const seen = seenFences(site.marks, site.newest)[handle] ?? 0;
  if (seen > fence) throw new Superseded();
}

/** The address of a handle in the last scan. CARD_GONE when it vanished meanwhile. */
export function handleOf({ place }: StepContext, name: string): Place["deployable"]["handles"][0] {
  const found = place.deployable.handles.find((handle) => handle.name === name);
  if (found === undefined) throw new Fault("CARD_GONE", `handle ${name} is not there any more`);
  return found;
}

/** Processes that have the handle's VFIO group open. */
export async function requireNotHeld(context: StepContext, name: string): Promise<void> {
  const { iommuGroup } = handleOf(context, name);
  if (iommuGroup === undefined) return;
  const holders = await context.equipment.kernel.holders(`/dev/vfio/${iommuGroup}`);
  const [first] = holders;
  if (first !== undefined) {
    throw new Fault("IN_USE", `${name} is held by ${first.command} (${first.pid})`);
  }
}

/** An id for one act: unique because it names its moment and a random number. */
export function operationId({ site, equipment }: StepContext): string {
  const { clock, random } = equipment.runtime;
  return uuidOf("operation", site.id, site.bootId, String(clock.wall()), String(random()));
}

/** The real or injected wall clock in whole ms. */
export function wallNow({ equipment }: StepContext): number {
  return Math.floor(equipment.runtime.clock.wall());
}
