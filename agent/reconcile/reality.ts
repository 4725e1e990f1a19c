import { Fault, isFault } from "#domain/faults";
import type { Observation } from "../drivers/driver.ts";
import { isOnVfio } from "../host/vfio-groups.ts";
import type { Equipment } from "./ports.ts";
import type { Site } from "./site.ts";
import type { HandleReality, Reality, Wish } from "./step.ts";

/** Reads everything the plan rests on. Never throws: what cannot be read is bad health. */
export async function readReality(
  site: Site,
  wish: Wish | undefined,
  equipment: Equipment,
): Promise<Reality> {
  const seen = await observed(site, equipment);
  site.observation = seen;
  return {
    bootId: site.bootId,
    loaded: seen.loaded,
    health: seen.health,
    handles: await handlesOf(site, equipment),
    image: await imageState(site, wish, equipment),
  };
}

async function observed(site: Site, { driver, runtime }: Equipment): Promise<Observation> {
  const blank = { functionId: null };
  if (site.place === undefined) {
    return { loaded: blank, health: { state: "gone", reason: "the card was not found" } };
  }
  // A stuck card is not even read: some of its files block their reader (host.md §3.4).
  if (site.journal.stuck !== undefined) {
    const health = { state: "stuck", reason: site.journal.stuck.reason } as const;
    return { loaded: site.observation?.loaded ?? blank, health };
  }
  try {
    const seen = await driver.observe(site.place);
    return seen.opaque === true ? { ...seen, loaded: lastProven(site) ?? seen.loaded } : seen;
  } catch (error) {
    if (isFault(error, "CARD_GONE")) {
      return { loaded: blank, health: { state: "gone", reason: error.message } };
    }
    const reason = error instanceof Fault ? error.message : "the card cannot be read";
    runtime.log("observe-failed", { deployable: site.id, error: String(error) });
    return { loaded: site.observation?.loaded ?? blank, health: { state: "degraded", reason } };
  }
}

/** A card that a guest has cannot be asked: what the last read back of this boot said still holds. */
function lastProven({ marks, bootId }: Site): Observation["loaded"] | undefined {
  const proof = marks.loaded ?? marks.clean;
  return proof?.bootId === bootId ? { functionId: proof.functionId } : undefined;
}

async function handlesOf(
  site: Site,
  { kernel }: Equipment,
): Promise<Readonly<Record<string, HandleReality>>> {
  const handles = site.place?.deployable.handles ?? [];
  const read = handles.map(async ({ name, type, address, iommuGroup }) => {
    const holders = iommuGroup === undefined ? [] : await kernel.holders(`/dev/vfio/${iommuGroup}`);
    const onVfio = await isOnVfio(kernel, address);
    const group = iommuGroup === undefined ? {} : { iommuGroup };
    return [name, { address, type, onVfio, holders, ...group }] as const;
  });
  return Object.fromEntries(await Promise.all(read));
}

async function imageState(
  site: Site,
  wish: Wish | undefined,
  { images }: Equipment,
): Promise<Reality["image"]> {
  const image = wish?.image;
  if (image === undefined) return "absent";
  if (site.verified?.sha256 === image.sha256) return "verified";
  return (await images.has(image)) ? "cached" : "absent";
}
