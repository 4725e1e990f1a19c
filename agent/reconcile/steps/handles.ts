import { Fault } from "#domain/faults";
import type { PlugTarget } from "#protocol/wire/shapes";
import { bindVfio, prepareBind, unbindVfio } from "../../host/vfio.ts";
import type { BoundHandle, Hypervisor } from "../../hypervisors/hypervisor.ts";
import { withHandle } from "../../memory/journal.ts";
import type { StepOf } from "../step.ts";
import { handleOf, requireFence, requireNotHeld, type StepContext } from "./context.ts";

/** Binds a handle to its pass-through driver, remembering the one that was there. */
export async function bindHandle(step: StepOf<"bind">, context: StepContext): Promise<void> {
  const { site, equipment } = context;
  const { address } = handleOf(context, step.handle);
  const prepared = await prepareBind(equipment.vfio, address);
  // A second bind in one boot finds vfio-pci or nothing: only the first saw what belongs there.
  const bound = site.journal.handles[step.handle]?.bound ?? prepared;
  await site.changeJournal((journal) =>
    withHandle(journal, step.handle, { ...journal.handles[step.handle], bound }),
  );
  requireFence(context, step);
  await bindVfio(equipment.vfio, bound);
}

/** Hands a bound handle to its guest; the journal names claim and target before that. */
export async function plugHandle(step: StepOf<"plug">, context: StepContext): Promise<void> {
  const { site } = context;
  const { handle, claim, target } = step;
  const hypervisor = hypervisorOf(context, target);
  const plug = { bootId: site.bootId, claim: claim.id, target };
  await site.changeMarks((marks) => {
    const { [handle]: _, ...handleClean } = marks.handleClean;
    return { ...marks, handleClean };
  });
  await site.changeJournal((journal) =>
    withHandle(journal, handle, { ...journal.handles[handle], plug }),
  );
  requireFence(context, step);
  const bound = boundHandle(context, handle, claim.id);
  const attachment = await hypervisor.plug(bound, target);
  await site.changeJournal((journal) =>
    withHandle(journal, handle, { ...journal.handles[handle], plug: { ...plug, attachment } }),
  );
}

/** Takes a handle from its guest, proves that nobody holds it, and restores its driver. */
export async function unplugHandle(step: StepOf<"unplug">, context: StepContext): Promise<void> {
  const { site, equipment } = context;
  const { plug, bound } = site.journal.handles[step.handle] ?? {};
  if (plug !== undefined) {
    const held = boundHandle(context, step.handle, plug.claim);
    await hypervisorOf(context, plug.target).unplug(held, plug.target);
  }
  await requireNotHeld(context, step.handle);
  if (bound !== undefined) await unbindVfio(equipment.vfio, bound.address, bound);
  await site.changeJournal((journal) => {
    const { plug: _, bound: __, ...record } = journal.handles[step.handle] ?? {};
    return withHandle(journal, step.handle, record);
  });
}

/** Cleans one handle by itself; the proof carries the fence it was asked at. */
export async function cleanHandle(
  step: StepOf<"clean-handle">,
  context: StepContext,
): Promise<void> {
  const { site, place, equipment } = context;
  await requireNotHeld(context, step.handle);
  requireFence(context, step);
  await equipment.driver.cleanHandle(place, step.handle);
  const proof = { bootId: site.bootId, fence: step.fence };
  await site.changeMarks((marks) => ({
    ...marks,
    handleClean: { ...marks.handleClean, [step.handle]: proof },
  }));
}

function hypervisorOf({ equipment }: StepContext, target: PlugTarget): Hypervisor {
  const found = equipment.hypervisors.find(({ name }) => name === target.hypervisor);
  if (found === undefined) {
    throw new Fault("PLUG_FAILED", `this host has no ${target.hypervisor} plugin`);
  }
  return found;
}

function boundHandle(context: StepContext, name: string, claim: string): BoundHandle {
  const { type, address, iommuGroup } = handleOf(context, name);
  return {
    deployable: context.site.id,
    name,
    type,
    address,
    ...(iommuGroup === undefined ? {} : { iommuGroup }),
    claim,
  };
}
