import type { HypervisorName } from "#domain/hypervisors";
import { type CdiOptions, cdi } from "./cdi.ts";
import type { Hypervisor } from "./hypervisor.ts";
import { type LibvirtOptions, libvirt } from "./libvirt.ts";
import { openstack } from "./openstack.ts";
import { type QemuOptions, qemu } from "./qemu.ts";

/** What the plugins need of this host. */
export interface HypervisorOptions {
  readonly cdi: CdiOptions;
  readonly qemu: QemuOptions;
  readonly libvirt?: LibvirtOptions;
}

/** A name without a plugin does not compile. */
const plugins: Readonly<Record<HypervisorName, (options: HypervisorOptions) => Hypervisor>> = {
  libvirt: (options) => libvirt(options.libvirt),
  qemu: (options) => qemu(options.qemu),
  cdi: (options) => cdi(options.cdi),
  openstack: () => openstack,
};

/** Every plugin of this agent; a target names one of them. */
export function hypervisors(options: HypervisorOptions): readonly Hypervisor[] {
  return Object.values(plugins).map((make) => make(options));
}
