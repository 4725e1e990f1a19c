import { bind, busLocked, driverNames, probeAddress, unbind, vfioDriver } from "./binding.ts";
import { functionsOnBus, type KernelState, kernelError } from "./state.ts";
import { type Dir, deviceNode, dir, type Entries, fixed, link, written } from "./tree.ts";
import { dflNodes, managerLinks, platformLinks, regionLinks } from "./tree-dfl.ts";
import { groupDirs, pciLinks, pciTree } from "./tree-pci.ts";

/** The file system of one state: /sys, /dev, the boot id and the machine's ids. */
export function tree(state: KernelState, machineId?: string): Dir {
  return dir(() => ({
    sys: dir(() => ({
      bus: dir(() => ({
        pci: dir(() => pciBus(state)),
        platform: dir(() => ({ devices: dir(() => platformLinks(state)) })),
      })),
      devices: dir(() => pciTree(state)),
      class: dir(() => ({
        fpga_region: dir(() => regionLinks(state)),
        fpga_manager: dir(() => managerLinks(state)),
        ...(machineId !== undefined && {
          dmi: dir(() => ({ id: dir(() => ({ product_uuid: fixed(machineId) })) })),
        }),
      })),
      kernel: dir(() => ({ iommu_groups: dir(() => groupDirs(state)) })),
      module: dir(() => ({ vfio_pci: dir(() => ({})), vfio_iommu_type1: dir(() => ({})) })),
    })),
    ...(machineId !== undefined && {
      etc: dir(() => ({ "machine-id": fixed(machineId.replaceAll("-", "")) })),
    }),
    dev: dir(() => ({ ...dflNodes(state), vfio: dir(() => vfioNodes(state)) })),
    proc: dir(() => ({
      sys: dir(() => ({
        kernel: dir(() => ({
          random: dir(() => ({ boot_id: fixed(state.bootId) })),
        })),
      })),
    })),
  }));
}

function pciBus(state: KernelState): Entries {
  return {
    devices: dir(() => pciLinks(state)),
    drivers: dir(() =>
      Object.fromEntries(
        driverNames(state).map((name) => [name, dir(() => driverEntries(state, name))]),
      ),
    ),
    drivers_probe: written((value) => {
      probeAddress(state, value.trim());
      return undefined;
    }),
    rescan: {
      kind: "file",
      write: (value) => {
        if (value.trim() !== "1") throw kernelError("EINVAL", "rescan");
        return undefined;
      },
      locked: () => busLocked(state),
    },
  };
}

function driverEntries(state: KernelState, name: string): Entries {
  const bound = functionsOnBus(state).filter((fn) => fn.driver === name);
  return {
    bind: written((value) => {
      bind(state, name, value.trim());
      return undefined;
    }),
    unbind: written((value) => unbind(state, name, value.trim())),
    ...Object.fromEntries(bound.map((fn) => [fn.address, link(`../../devices/${fn.address}`)])),
  };
}

/** A group has its node while a member is on the VFIO driver. */
function vfioNodes(state: KernelState): Entries {
  const groups = functionsOnBus(state)
    .filter((fn) => fn.driver === vfioDriver)
    .map((fn) => [String(fn.group), deviceNode]);
  return { vfio: deviceNode, ...Object.fromEntries(groups) };
}
