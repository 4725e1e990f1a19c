import { type CdiOptions, cdi } from "./cdi.ts";
import type { Hypervisor } from "./hypervisor.ts";
import { libvirt } from "./libvirt.ts";

/** Every plugin of this agent; a target names one of them. */
export function hypervisors(options: { readonly cdi: CdiOptions }): readonly Hypervisor[] {
  return [libvirt, cdi(options.cdi)];
}
