/** Every way to make a handle reachable for a guest; the one list of plugin names. */
export const hypervisorNames = ["libvirt", "qemu", "cdi", "openstack"] as const;
export type HypervisorName = (typeof hypervisorNames)[number];
