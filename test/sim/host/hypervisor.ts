import { Fault } from "#domain/faults";
import type { BoundHandle, Hypervisor } from "../../../agent/hypervisors/hypervisor.ts";
import type { Plugged } from "../cards.ts";
import type { Life } from "./life.ts";
import { type Machine, recordsOf } from "./machine.ts";

/** Process id of every guest. */
const guestPid = 4711;

/** Guests that open the VFIO group of what they get, and write into all of it. */
export function simHypervisor(machine: Machine, life: Life): Hypervisor {
  const { cards, kernel } = machine;
  const { faults, random } = machine.parts;
  const calls: Hypervisor = {
    name: "libvirt",
    plug: async (handle) => {
      if (faults.strikes("plug-failure", random)) throw new Fault("PLUG_FAILED");
      await plug(machine, handle);
      return { hypervisor: "libvirt", pciAddress: handle.address, xml: "<hostdev/>" };
    },
    unplug: async (handle) => {
      if (faults.strikes("plug-failure", random)) throw new Fault("UNPLUG_FAILED");
      const plugged = cards.plugged.get(handle.address);
      if (plugged === undefined) return;
      await kernel.close(`/dev/vfio/${plugged.group}`, guestPid);
      cards.plugged.delete(handle.address);
    },
  };
  return life.gated(calls, ["plug", "unplug"]);
}

async function plug(machine: Machine, handle: BoundHandle): Promise<void> {
  const { id, cards, kernel } = machine;
  const { judge } = machine.parts;
  const { deployable, name, claim, address, iommuGroup } = handle;
  const known = cards.plugged.get(address);
  if (known?.claim === claim) return;
  if (known !== undefined) throw new Fault("PLUG_FAILED", "another guest has it");
  const project = judge.projectOf(claim) ?? "";
  const group = iommuGroup ?? 0;
  const plugged: Plugged = { deployable, handle: name, claim, project, address, group };
  judge.plugging(id, plugged, recordsOf(machine, deployable));
  await kernel.open(`/dev/vfio/${group}`, { pid: guestPid, command: `qemu ${claim}` });
  cards.plugged.set(address, plugged);
  cards.soil(plugged);
}
