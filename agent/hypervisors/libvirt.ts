import { Fault } from "#domain/faults";
import { isUuid } from "#protocol/uuid";
import type { PlugTarget } from "#protocol/wire/shapes";
import { realSleep, type Sleep, withDeadline } from "../host/deadline.ts";
import { isDomainName } from "../host/guest-name.ts";
import { addressParts } from "../host/pci.ts";
import { type Virsh, VirshError } from "../host/virsh.ts";
import type { BoundHandle, Hypervisor } from "./hypervisor.ts";

export interface LibvirtOptions {
  /** Without it nothing is attached: the element is given out only. */
  readonly virsh?: Virsh;
  /** Bound of one plug or unplug, ms. */
  readonly ms?: number;
  /** Time between two looks at a domain that was asked to let go, ms. */
  readonly pollMs?: number;
  readonly sleep?: Sleep;
}

type FailureCode = "PLUG_FAILED" | "UNPLUG_FAILED";

/**
 * Gives out the `<hostdev>` element of host.md §4.2. Where the host has virsh and the target names a
 * domain, the element is also attached to the running domain and taken out of it again; otherwise
 * the domain's manager does both, and the holder scan is the proof.
 */
export function libvirt(options: LibvirtOptions = {}): Hypervisor {
  return {
    name: "libvirt",
    async plug(handle, target) {
      const xml = hostdevXml(handle);
      const { virsh } = options;
      if (virsh !== undefined && target.domain !== undefined) {
        const domain = domainOf(target);
        await bounded(options, "PLUG_FAILED", () =>
          ensureAttached(virsh, { domain, alias: aliasOf(handle) }, xml),
        );
      }
      const where = handle.type === "MDEV" ? {} : { pciAddress: handle.address };
      return { hypervisor: "libvirt", ...where, xml };
    },
    async unplug(handle, { domain }) {
      const { virsh } = options;
      // Such a target was never plugged; refusing here would keep the handle for ever.
      if (virsh === undefined || !isDomainName(domain)) return;
      const device = { domain, alias: aliasOf(handle) };
      await bounded(options, "UNPLUG_FAILED", (over) => takeOut(options, virsh, device, over));
    },
  };
}

function domainOf({ domain }: PlugTarget): string {
  if (isDomainName(domain)) return domain;
  throw new Fault("PLUG_FAILED", "libvirt needs a domain's name or uuid", {
    field: "target.domain",
  });
}

/** libvirt keeps aliases of users, which start with `ua-`, as they are (host.md §4.2). */
function aliasOf({ claim }: BoundHandle): string {
  if (!isUuid(claim)) throw new Fault("PLUG_FAILED", "The claim is not a uuid", { field: "claim" });
  return `ua-gatehouse-${claim}`;
}

/** `managed='no'`: the handle is bound already and unbound by us. */
function hostdevXml(handle: BoundHandle): string {
  const { type, address } = handle;
  if (type === "MDEV") return mediatedXml(handle);
  const { domain, bus, slot, function: fn } = addressParts(address);
  const attributes = `domain='0x${domain}' bus='0x${bus}' slot='0x${slot}' function='0x${fn}'`;
  return [
    "<hostdev mode='subsystem' type='pci' managed='no'>",
    `<alias name='${aliasOf(handle)}'/>`,
    "<driver name='vfio'/>",
    `<source><address ${attributes}/></source>`,
    "</hostdev>",
  ].join("");
}

function mediatedXml(handle: BoundHandle): string {
  const { mdev } = handle;
  if (mdev === undefined || !isUuid(mdev)) {
    throw new Fault("PLUG_FAILED", "A mediated device needs its uuid", { field: "mdev" });
  }
  return [
    "<hostdev mode='subsystem' type='mdev' model='vfio-pci'>",
    `<alias name='${aliasOf(handle)}'/>`,
    `<source><address uuid='${mdev}'/></source>`,
    "</hostdev>",
  ].join("");
}

/** Does `work` within the bound; `over` aborts when nobody waits for it any longer. */
async function bounded<T>(
  { ms = 30_000, sleep = realSleep }: LibvirtOptions,
  code: FailureCode,
  work: (over: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const late = () => new Fault(code, `libvirt or its guest did not answer within ${ms} ms`);
  try {
    return await withDeadline(work(over.signal), { ms, sleep, late });
  } catch (error) {
    if (error instanceof Fault && error.code === code) throw error;
    const words = error instanceof Error ? error.message : "virsh failed";
    throw new Fault(code, words, {}, { cause: error });
  } finally {
    over.abort();
  }
}

/** One of our devices in one domain. */
interface Device {
  readonly domain: string;
  readonly alias: string;
}

/** True while the domain runs with the device. A domain that is off has no id and holds nothing. */
async function isIn(virsh: Virsh, { domain, alias }: Device): Promise<boolean> {
  const xml = await virsh.dumpxml(domain);
  return /^\s*<domain [^>]*\bid=['"]/.test(xml) && xml.includes(`<alias name='${alias}'/>`);
}

async function ensureAttached(virsh: Virsh, device: Device, xml: string): Promise<void> {
  if (await isIn(virsh, device)) return;
  await virsh.attach(device.domain, device.alias, xml);
  if (await isIn(virsh, device)) return;
  throw new Fault("PLUG_FAILED", `${device.domain} does not show the device after the attach`);
}

/**
 * True when the device is in no running domain. A libvirt that knows the domain no more, or does not
 * answer, leaves the proof to the holder scan: a guest that runs without it still holds the group.
 */
async function isOut(virsh: Virsh, device: Device): Promise<boolean> {
  try {
    return !(await isIn(virsh, device));
  } catch (error) {
    const troubles = ["unknown-domain", "unreachable"];
    if (error instanceof VirshError && troubles.includes(error.trouble)) return true;
    throw error;
  }
}

/** Asks the domain to let go and waits for the device's end, not for the answer (host.md §4.2). */
async function takeOut(
  { pollMs = 500, sleep = realSleep }: LibvirtOptions,
  virsh: Virsh,
  device: Device,
  over: AbortSignal,
): Promise<void> {
  if (await isOut(virsh, device)) return;
  const heard = Promise.withResolvers<undefined>();
  heard.promise.catch(() => undefined);
  const events = virsh.watch(device.domain, ({ event, alias }) => {
    if (alias !== device.alias) return;
    if (event === "device-removed") heard.resolve(undefined);
    else heard.reject(new Fault("UNPLUG_FAILED", "the guest refuses to let go of the device"));
  });
  over.addEventListener("abort", events.stop);
  try {
    await askToLeave(virsh, device);
    let gone = false;
    // The event may have come before libvirt took the subscription, so each round looks as well.
    while (!(over.aborted || gone || (await isOut(virsh, device)))) {
      const told = heard.promise.then(() => true);
      gone = await Promise.race([told, sleep(pollMs, over).then(() => false)]);
    }
  } finally {
    events.stop();
  }
}

/** What an earlier unplug asked for may be under way still, or just be done. */
async function askToLeave(virsh: Virsh, device: Device): Promise<void> {
  try {
    await virsh.detachAlias(device.domain, device.alias);
  } catch (error) {
    const underWay = error instanceof VirshError && /in the process of unplug/.test(error.message);
    if (underWay || (await isOut(virsh, device))) return;
    throw error;
  }
}
