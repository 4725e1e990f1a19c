import { deployableId } from "#protocol/uuid";
import { simulatedDriver } from "../../../agent/drivers/simulated.ts";
import type { MemoryKernel } from "../../../agent/host/memory-kernel/kernel.ts";
import type { Equipment } from "../../../agent/reconcile/ports.ts";
import type { Runtime } from "../../../agent/runtime.ts";
import { simCache } from "../images.ts";
import { simHypervisor } from "./hypervisor.ts";
import type { Life } from "./life.ts";
import { deadlines, type Machine, recordsOf } from "./machine.ts";

/** What one life of an agent acts with. */
export function equipmentOf(machine: Machine, life: Life, runtime: Runtime): Equipment {
  const { bucket, faults, random } = machine.parts;
  const port = kernelOf(machine, life);
  return {
    driver: driverOf(machine, life),
    hypervisors: [simHypervisor(machine, life)],
    kernel: port,
    vfio: {
      port,
      sleep: runtime.sleep,
      deadlineMs: deadlines.write,
      allowed: () => true,
      anyClass: () => true,
    },
    images: simCache({ bucket, faults, random, sleep: runtime.sleep, kept: machine.kept }),
    key: machine.key,
    deadlines,
    runtime,
  };
}

/** The driver of all cards, with the defect that is planted, if one is. */
export function driverOf(machine: Machine, life: Life): Equipment["driver"] {
  const { time, plant } = machine.parts;
  const port = kernelOf(machine, life);
  const driver = simulatedDriver({
    hostId: machine.id,
    port,
    pr: port,
    sleep: time.sleep,
    writeDeadlineMs: deadlines.write,
    memory: machine.memory,
  });
  return plant?.driver === undefined ? driver : plant.driver(driver);
}

/** The kernel as an agent sees it: it may end at each call, and the judge hears of programming. */
function kernelOf(machine: Machine, life: Life): MemoryKernel {
  const { id: host, kernel } = machine;
  const programming = (card: string, region: string, functionId: string) => {
    const id = deployableId(host, card, region);
    machine.parts.judge.programming(host, id, functionId, recordsOf(machine, id));
  };
  const watched: MemoryKernel = {
    ...kernel,
    programPort: (fme, port, image, progress) => {
      const number = Number(fme.split(".").at(-1));
      const card = kernel.state().cards.find((one) => one.number === number && one.present);
      programming(card?.id ?? "", card?.regions[port]?.key ?? "", image.functionId);
      return kernel.programPort(fme, port, image, progress);
    },
    programUser: (management, image, progress) => {
      const fn = kernel.state().functions.find(({ address }) => address === management);
      programming(fn?.card ?? "", "card", image.functionId);
      return kernel.programUser(management, image, progress);
    },
  };
  const calls = ["write", "programPort", "programUser", "releasePort", "assignPort"] as const;
  return life.gated(watched, calls);
}
