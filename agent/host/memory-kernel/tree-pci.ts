import { deviceLocked, vfioDriver } from "./binding.ts";
import { resetFunction } from "./reset.ts";
import {
  type CardState,
  cardOf,
  type FunctionState,
  functionsOf,
  functionsOnBus,
  groupHeld,
  hostBridge,
  type KernelState,
  kernelError,
  pathOf,
} from "./state.ts";
import { type Dir, dir, type Entries, type File, fixed, link, type Node, shown } from "./tree.ts";
import { alveoEntries } from "./tree-alveo.ts";
import { dflEntries } from "./tree-dfl.ts";
import { setNumVfs, totalVfs, vfOffset, vfStride } from "./virtual-functions.ts";

/** Below /sys/bus/pci/devices. */
export function pciLinks(state: KernelState): Entries {
  return Object.fromEntries(
    functionsOnBus(state).map((fn) => [fn.address, link(`../../../${pathOf(state, fn)}`)]),
  );
}

/** Below /sys/devices: host bridges, root ports, cards. */
export function pciTree(state: KernelState): Entries {
  const on = functionsOnBus(state);
  const ports = on.filter((fn) => fn.role === "bridge");
  const bridges = [...new Set(ports.map((fn) => hostBridge(fn.address)))];
  return Object.fromEntries(
    bridges.map((bridge) => [
      bridge,
      dir(() =>
        Object.fromEntries(
          ports
            .filter((port) => hostBridge(port.address) === bridge)
            .map((port) => [port.address, functionDir(state, port)]),
        ),
      ),
    ]),
  );
}

function functionDir(state: KernelState, fn: FunctionState): Dir {
  const card = cardOf(state, fn);
  return dir(() => {
    const entries: Entries = {
      ...identity(card, fn),
      ...links(state, fn),
      ...reset(card, fn),
      ...sriov(state, card, fn),
      ...(fn.role === "bridge" ? children(state, card) : model(state, card, fn)),
    };
    return card.broken && fn.role !== "bridge" ? unreadable(entries) : entries;
  });
}

function children(state: KernelState, card: CardState): Entries {
  const below = functionsOnBus(state).filter((fn) => fn.card === card.id && fn.role !== "bridge");
  return Object.fromEntries(below.map((fn) => [fn.address, functionDir(state, fn)]));
}

function model(state: KernelState, card: CardState, fn: FunctionState): Entries {
  return { ...dflEntries(state, card, fn), ...alveoEntries(card, fn) };
}

/** A card whose config space does not answer: links stay, every attribute fails. */
function unreadable(entries: Entries): Entries {
  const broken = (node: Node | undefined): Node | undefined =>
    node?.kind === "file"
      ? shown(() => {
          throw kernelError("EIO", "attribute");
        })
      : node;
  return Object.fromEntries(Object.entries(entries).map(([name, node]) => [name, broken(node)]));
}

function identity(card: CardState, fn: FunctionState): Entries {
  const { description } = card;
  const [subVendor, subDevice] = description.subsystem.split(":");
  const bridge = fn.role === "bridge";
  const vendor = bridge ? "1b36" : description.vendor;
  return {
    vendor: fixed(`0x${vendor}`),
    device: fixed(`0x${fn.device}`),
    subsystem_vendor: fixed(`0x${subVendor}`),
    subsystem_device: fixed(`0x${subDevice}`),
    class: fixed(bridge ? "0x060400" : "0x120000"),
    revision: fixed("0x02"),
    numa_node: fixed(String(description.numaNode)),
    power_state: shown(() => (fn.driver === vfioDriver ? "D3hot" : "D0")),
    aer_dev_fatal: shown(() => `TOTAL_ERR_FATAL ${card.fatalErrors}`),
    uevent: shown(() =>
      [
        ...(fn.driver === null ? [] : [`DRIVER=${fn.driver}`]),
        `PCI_ID=${vendor}:${fn.device}`.toUpperCase(),
        `PCI_SLOT_NAME=${fn.address}`,
      ].join("\n"),
    ),
  };
}

function links(state: KernelState, fn: FunctionState): Entries {
  const up = fn.role === "bridge" ? "../../.." : "../../../..";
  const override: File = {
    kind: "file",
    read: () => fn.override ?? "(null)",
    write: (value) => {
      const name = value.replace(/[\n\0].*$/s, "");
      fn.override = name === "" ? null : name;
      return undefined;
    },
    locked: () => deviceLocked(state, fn),
  };
  return {
    driver_override: override,
    driver: fn.driver === null ? undefined : link(`${up}/bus/pci/drivers/${fn.driver}`),
    iommu_group: link(`${up}/kernel/iommu_groups/${fn.group}`),
    "vfio-dev":
      fn.driver === vfioDriver ? dir(() => ({ [`vfio${fn.vfio}`]: dir(() => ({})) })) : undefined,
  };
}

function reset(card: CardState, fn: FunctionState): Entries {
  const { description } = card;
  if (fn.role === "bridge") return {};
  if (description.model === "sriov" && description.reset === "none") {
    return { reset_method: fixed("") };
  }
  return {
    reset_method: fixed(fn.role === "vf" ? "flr" : "flr bus"),
    reset: { kind: "file", write: (value) => resetFunction(card, fn, value) },
  };
}

function sriov(state: KernelState, card: CardState, fn: FunctionState): Entries {
  const { description } = card;
  if (fn.role === "vf") return { physfn: link(`../${description.address}`) };
  const total = totalVfs(card);
  if (fn.role !== "pf" || total === undefined) return {};
  const vfs = functionsOf(state, card, "vf");
  return {
    sriov_totalvfs: fixed(String(total)),
    sriov_numvfs: {
      kind: "file",
      read: () => String(functionsOf(state, card, "vf").length),
      write: (value) => setNumVfs(state, fn, value),
      locked: () => deviceLocked(state, fn),
    },
    sriov_offset: fixed(String(vfOffset)),
    sriov_stride: fixed(String(vfStride)),
    sriov_vf_device: fixed("vfDevice" in description ? description.vfDevice : ""),
    sriov_drivers_autoprobe: {
      kind: "file",
      read: () => (card.autoprobe ? "1" : "0"),
      write: (value) => {
        if (!/^[01]\n?$/.test(value)) throw kernelError("EINVAL", "sriov_drivers_autoprobe");
        card.autoprobe = value.startsWith("1");
        return undefined;
      },
    },
    ...Object.fromEntries(vfs.map((vf) => [`virtfn${vf.vf}`, link(`../${vf.address}`)])),
  };
}

/** Below /sys/kernel/iommu_groups. */
export function groupDirs(state: KernelState): Entries {
  const groups = Map.groupBy(functionsOnBus(state), (fn) => fn.group);
  return Object.fromEntries(
    [...groups].map(([group, members]) => [
      String(group),
      dir(() => ({
        type: fixed(groupHeld(state, group) ? "unknown" : "DMA"),
        devices: dir(() =>
          Object.fromEntries(
            members.map((fn) => [fn.address, link(`../../../../${pathOf(state, fn)}`)]),
          ),
        ),
      })),
    ]),
  );
}
