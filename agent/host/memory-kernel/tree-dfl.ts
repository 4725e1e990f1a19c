import {
  type CardState,
  cardOf,
  type FunctionState,
  functionsOnBus,
  type KernelState,
  kernelError,
  pathOf,
  portOwner,
  type RegionState,
} from "./state.ts";
import { deviceNode, dir, type Entries, fixed, link, type Node, shown } from "./tree.ts";

/** `/dev/dfl-port.N` and `/dev/dfl-fme.N` by name. */
const dflMajor = { fme: 246, port: 245 } as const;

/** The ports a function shows: the PF those that were not released, a VF its own. */
export function portsShownBy(
  state: KernelState,
  card: CardState,
  fn: FunctionState,
): RegionState[] {
  if (fn.driver !== "dfl-pci") return [];
  if (fn.role === "pf") return card.regions.filter((region) => !region.released);
  return card.regions.filter((region) => portOwner(state, card, region) === fn);
}

/** The function's `fpga_region` directory (host.md §1.3); undefined when dfl-pci has it not. */
export function dflEntries(state: KernelState, card: CardState, fn: FunctionState): Entries {
  if (card.description.model !== "dfl" || fn.driver !== "dfl-pci") return {};
  const base = baseRegion(card, fn);
  return {
    fpga_region: dir(() => ({
      [`region${base}`]: dir(() => ({
        // The base region has the file, but no id behind it.
        compat_id: shown(() => {
          throw kernelError("ENOENT", "compat_id");
        }),
        ...(fn.role === "pf" && { [`dfl-fme.${card.number}`]: fmeDir(card, base) }),
        ...Object.fromEntries(
          portsShownBy(state, card, fn).map((region) => [
            `dfl-port.${region.number}`,
            portDir(card, region),
          ]),
        ),
      })),
    })),
  };
}

/** Region numbers are the kernel's; all that matters is that no two are the same. */
function baseRegion(card: CardState, fn: FunctionState): number {
  return fn.role === "pf" ? card.number * 10 : 100_000 + fn.group;
}

/** Below /sys/class/fpga_region: base regions, and those that a management engine fills. */
export function regionLinks(state: KernelState): Entries {
  const links: Record<string, Node> = {};
  for (const [card, fn] of dflFunctions(state)) {
    const base = baseRegion(card, fn);
    const path = `../../${pathOf(state, fn)}/fpga_region/region${base}`;
    links[`region${base}`] = link(path);
    for (let port = 1; fn.role === "pf" && port <= card.regions.length; port++) {
      const region = base + port;
      const below = `dfl-fme.${card.number}/dfl-fme-region.${region}/fpga_region/region${region}`;
      links[`region${region}`] = link(`${path}/${below}`);
    }
  }
  return links;
}

/** Below /sys/class/fpga_manager: one for each management engine. */
export function managerLinks(state: KernelState): Entries {
  const engines = dflFunctions(state).filter(([, fn]) => fn.role === "pf");
  return Object.fromEntries(
    engines.map(([card, fn]) => {
      const base = `../../${pathOf(state, fn)}/fpga_region/region${baseRegion(card, fn)}`;
      const n = card.number;
      const below = `dfl-fme.${n}/dfl-fme-mgr.${n}/fpga_manager/fpga${n}`;
      return [`fpga${n}`, link(`${base}/${below}`)];
    }),
  );
}

/** Below /sys/bus/platform/devices: the engines, by the numbers of their nodes. */
export function platformLinks(state: KernelState): Entries {
  return Object.fromEntries(
    dflFunctions(state)
      .filter(([, fn]) => fn.role === "pf")
      .map(([card, fn]) => {
        const name = `dfl-fme.${card.number}`;
        const base = `../../../${pathOf(state, fn)}/fpga_region/region${baseRegion(card, fn)}`;
        return [name, link(`${base}/${name}`)];
      }),
  );
}

/** Functions that dfl-pci has, with their cards. */
function dflFunctions(state: KernelState): [CardState, FunctionState][] {
  return functionsOnBus(state)
    .filter((fn) => fn.driver === "dfl-pci")
    .map((fn) => [cardOf(state, fn), fn]);
}

function fmeDir(card: CardState, base: number) {
  const { description } = card;
  const compat = "interfaceId" in description ? description.interfaceId.replaceAll("-", "") : "";
  const regions = card.regions.map((_, index) => [
    // The number is the kernel's, not the port's: nothing may be read out of it.
    `dfl-fme-region.${base + index + 1}`,
    dir(() => ({
      fpga_region: dir(() => ({
        [`region${base + index + 1}`]: dir(() => ({ compat_id: fixed(compat) })),
      })),
    })),
  ]);
  return dir(() => ({
    ports_num: fixed(String(card.regions.length)),
    bitstream_id: fixed("0x123000200000185"),
    bitstream_metadata: fixed("0x1811091"),
    socket_id: fixed("0"),
    dev: fixed(`${dflMajor.fme}:${card.number}`),
    driver: link("../../../../../../../bus/platform/drivers/dfl-fme"),
    [`dfl-fme-mgr.${card.number}`]: dir(() => ({
      fpga_manager: dir(() => ({
        [`fpga${card.number}`]: dir(() => ({
          name: fixed("DFL FME FPGA Manager"),
          state: shown(() => card.managerState),
          status: shown(() => card.managerStatus),
        })),
      })),
    })),
    ...Object.fromEntries(regions),
  }));
}

function portDir(card: CardState, region: RegionState) {
  const withDriver: Entries = {
    // A port that is held in reset cannot say what it is (host.md §1.3).
    afu_id: shown(() => {
      if (region.stuck || region.running) throw kernelError("EBUSY", "afu_id");
      return region.loaded.replaceAll("-", "");
    }),
    power_state: fixed("0x0"),
    driver: link("../../../../../../../bus/platform/drivers/dfl-port"),
  };
  return dir(() => ({
    id: fixed(String(card.regions.indexOf(region))),
    dev: fixed(`${dflMajor.port}:${region.number}`),
    ...(region.bound && withDriver),
  }));
}

/** The nodes below /dev of every DFL card whose driver is there. */
export function dflNodes(state: KernelState): Entries {
  const nodes: Record<string, typeof deviceNode> = {};
  for (const [card, fn] of dflFunctions(state)) {
    if (fn.role === "pf") nodes[`dfl-fme.${card.number}`] = deviceNode;
    for (const region of portsShownBy(state, card, fn)) {
      nodes[`dfl-port.${region.number}`] = deviceNode;
    }
  }
  return nodes;
}
