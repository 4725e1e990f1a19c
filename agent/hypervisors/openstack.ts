import { Fault } from "#domain/faults";
import { addressParts } from "../host/pci.ts";
import type { Hypervisor } from "./hypervisor.ts";

/**
 * Gives Nova the attach handle of host.md §4.1. Nova's own libvirt driver plugs and unplugs; nothing
 * is done here, so that the holder scan alone proves that the guest let go.
 */
export const openstack: Hypervisor = {
  name: "openstack",
  async plug({ type, address }) {
    if (type === "MDEV") throw new Fault("PLUG_FAILED", "Mediated devices have no PCI address");
    const { domain, bus, slot, function: fn } = addressParts(address);
    const handleInfo = { domain, bus, device: slot, function: fn };
    return { hypervisor: "openstack", pciAddress: address, handleInfo };
  },
  async unplug() {
    // The instance's devices are Nova's to take out.
  },
};
