import { createHash } from "node:crypto";
import { join } from "node:path";
import { Fault } from "#domain/faults";
import { isUuid } from "#protocol/uuid";
import type { PlugTarget } from "#protocol/wire/shapes";
import { realSleep, type Sleep, withDeadline } from "../host/deadline.ts";
import { isGuestName } from "../host/guest-name.ts";
import { type ConnectLines, connectLines } from "../host/line-socket.ts";
import { mdevPath } from "../host/mdev.ts";
import { addressParts } from "../host/pci.ts";
import { isKernelError } from "../host/sysfs-port.ts";
import type { BoundHandle, Hypervisor } from "./hypervisor.ts";
import { Qmp, QmpError } from "./qmp.ts";

export interface QemuOptions {
  /** Holds a socket `<domain>.sock` for each guest; its name never comes from the wire. */
  readonly directory: string;
  /** Bound of one plug or unplug, ms. A Linux guest lets go in 100 ms (host.md §4.3). */
  readonly ms?: number;
  readonly sleep?: Sleep;
  readonly connect?: ConnectLines;
}

type FailureCode = "PLUG_FAILED" | "UNPLUG_FAILED";

/** Plugs handles into bare QEMU guests through their QMP sockets (host.md §4.3). */
export function qemu(options: QemuOptions): Hypervisor {
  return {
    name: "qemu",
    async plug(handle, target) {
      hostDevice(handle);
      const path = socketOf(options, target);
      const id = deviceId(handle);
      const bus = await session(options, path, "PLUG_FAILED", (qmp) =>
        ensurePlugged(qmp, id, handle, target),
      );
      const { type, address } = handle;
      // A mediated device has no address of its own.
      const where = type === "MDEV" ? {} : { pciAddress: address };
      return { hypervisor: "qemu", ...where, device: id, bus };
    },
    async unplug(handle, target) {
      // Such a target was never plugged; refusing here would keep the handle for ever.
      if (!isGuestName(target.domain)) return;
      const path = socketOf(options, target);
      try {
        await session(options, path, "UNPLUG_FAILED", (qmp) => takeOut(qmp, deviceId(handle)));
      } catch (error) {
        // No listener, no QEMU: its exit frees the group at once.
        if (isKernelError(causeOf(error), "ENOENT", "ECONNREFUSED")) return;
        throw error;
      }
    },
  };
}

function socketOf({ directory }: QemuOptions, { domain }: PlugTarget): string {
  if (!isGuestName(domain)) {
    throw new Fault("PLUG_FAILED", "qemu needs the name of a guest", { field: "target.domain" });
  }
  return join(directory, `${domain}.sock`);
}

/** Short, and the same for every plug of a claim, so that a second one is recognised. */
function deviceId({ claim }: BoundHandle): string {
  if (!isUuid(claim)) throw new Fault("PLUG_FAILED", "The claim is not a uuid", { field: "claim" });
  return `gatehouse-${createHash("sha256").update(claim).digest("hex").slice(0, 24)}`;
}

/** One QMP session from connect to close, all of it within the bound. */
async function session<T>(
  { ms = 20_000, sleep = realSleep, connect = connectLines }: QemuOptions,
  path: string,
  code: FailureCode,
  use: (qmp: Qmp) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const late = () => failed(code, `QEMU or its guest did not answer within ${ms} ms`);
  try {
    const work = Qmp.open(path, connect, over.signal).then(use);
    return await withDeadline(work, { ms, sleep, late });
  } catch (error) {
    if (error instanceof Fault && error.code === code) throw error;
    const words = error instanceof Error ? error.message : "QMP failed";
    throw new Fault(code, words, {}, { cause: error });
  } finally {
    over.abort();
  }
}

/** The root port the device is on, after this call or already before it. */
async function ensurePlugged(
  qmp: Qmp,
  id: string,
  handle: BoundHandle,
  { bus }: PlugTarget,
): Promise<string> {
  const devices = await listOf(qmp, "/machine/peripheral");
  if (devices.has(id)) return await busOfPlugged(qmp, id, handle);
  const port = bus ?? (await emptyPort(qmp, devices));
  try {
    // Without addr a device can land where no guest ever sees it (host.md §4.3).
    const where = { ...hostDevice(handle), bus: port, addr: "0x0" };
    await qmp.execute("device_add", { driver: "vfio-pci", id, ...where });
    return port;
  } catch (error) {
    if (!(error instanceof QmpError && error.message.startsWith("Duplicate"))) throw error;
    return await busOfPlugged(qmp, id, handle);
  }
}

/** The property by which QEMU finds a device on its host: an address, or a mediated device's folder. */
function hostDevice({ type, address, mdev }: BoundHandle): Readonly<Record<string, string>> {
  if (type !== "MDEV") {
    addressParts(address);
    return { host: address };
  }
  if (mdev === undefined) throw failed("PLUG_FAILED", "A mediated device needs its uuid");
  return { sysfsdev: mdevPath(mdev) };
}

async function busOfPlugged(qmp: Qmp, id: string, handle: BoundHandle): Promise<string> {
  const path = `/machine/peripheral/${id}`;
  for (const [property, wanted] of Object.entries(hostDevice(handle))) {
    const found = await qmp.execute("qom-get", { path, property });
    if (found !== wanted) throw failed("PLUG_FAILED", `${id} is another device: ${String(found)}`);
  }
  const bus = await qmp.execute("qom-get", { path, property: "parent_bus" });
  return String(bus).split("/").at(-1) ?? "";
}

/** Only what was made at QEMU's start and named can be found: one device per port. */
async function emptyPort(qmp: Qmp, devices: ReadonlyMap<string, string>): Promise<string> {
  const ports = [...devices].filter(([, type]) => type === "child<pcie-root-port>");
  for (const [port] of ports.toSorted(([one], [other]) => (one < other ? -1 : 1))) {
    const members = await listOf(qmp, `/machine/peripheral/${port}/${port}`);
    if (![...members.keys()].some((name) => /^child\[\d+\]$/.test(name))) return port;
  }
  throw failed("PLUG_FAILED", "the guest has no empty pcie-root-port");
}

/** Names and types below a path of QEMU's object tree. */
async function listOf(qmp: Qmp, path: string): Promise<ReadonlyMap<string, string>> {
  const answer = await qmp.execute("qom-list", { path });
  const entries: readonly unknown[] = Array.isArray(answer) ? answer : [];
  return new Map(
    entries.map((entry) => {
      const { name, type } = entry as { readonly name?: unknown; readonly type?: unknown };
      return [String(name), String(type)];
    }),
  );
}

/** Asks the guest to let go and waits for the device's end, not for the answer (host.md §4.3). */
async function takeOut(qmp: Qmp, id: string): Promise<void> {
  const gone = Promise.withResolvers<undefined>();
  gone.promise.catch(() => undefined);
  qmp.onEvent = ({ event, data }) => {
    if (data["device"] !== id) return;
    if (event === "DEVICE_DELETED") gone.resolve(undefined);
    if (event === "DEVICE_UNPLUG_GUEST_ERROR") {
      gone.reject(failed("UNPLUG_FAILED", "the guest refuses to let go of the device"));
    }
  };
  try {
    await qmp.execute("device_del", { id });
  } catch (error) {
    if (!(error instanceof QmpError)) throw error;
    if (error.kind === "DeviceNotFound") return;
    if (!error.message.includes("in the process of unplug")) throw error;
  }
  await Promise.race([gone.promise, qmp.ended]);
}

function failed(code: FailureCode, message: string): Fault {
  return new Fault(code, message);
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}
