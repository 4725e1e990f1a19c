import { Fault } from "#domain/faults";
import { isUuid } from "#protocol/uuid";
import { addressParts } from "../host/pci.ts";
import type { BoundHandle, Hypervisor } from "./hypervisor.ts";

/**
 * Gives out the `<hostdev>` element of host.md §4.2; whoever defines the domain adds it. It talks to
 * no libvirtd, so that unplug has nothing to take back: the holder scan is the proof.
 */
export const libvirt: Hypervisor = {
  name: "libvirt",
  async plug(handle) {
    return { hypervisor: "libvirt", pciAddress: handle.address, xml: hostdevXml(handle) };
  },
  async unplug() {
    // The domain's own device list is its manager's; nothing was written.
  },
};

/** `managed='no'`: the handle is bound already and unbound by us. */
function hostdevXml({ type, address, claim }: BoundHandle): string {
  if (type === "MDEV") throw new Fault("PLUG_FAILED", "Mediated devices have no PCI address");
  if (!isUuid(claim)) throw new Fault("PLUG_FAILED", "The claim is not a uuid", { field: "claim" });
  const { domain, bus, slot, function: fn } = addressParts(address);
  const attributes = `domain='0x${domain}' bus='0x${bus}' slot='0x${slot}' function='0x${fn}'`;
  return [
    "<hostdev mode='subsystem' type='pci' managed='no'>",
    `<alias name='ua-gatehouse-${claim}'/>`,
    "<driver name='vfio'/>",
    `<source><address ${attributes}/></source>`,
    "</hostdev>",
  ].join("");
}
