import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { beforeAll } from "vitest";
import { blanksOf, cardsDriver } from "../../../agent/drivers/cards.ts";
import type { Driver } from "../../../agent/drivers/driver.ts";
import { realSleep } from "../../../agent/host/deadline.ts";
import { linuxCardPort } from "../../../agent/host/linux/card-port.ts";
import { kernelChildren } from "../../../agent/host/linux/children.ts";
import { linuxSysfs } from "../../../agent/host/linux/sysfs.ts";
import { type DriverSubject, driverConformance } from "../../conformance/driver.ts";
import { shell, verifiedOf, words } from "../images.ts";

const repository = join(import.meta.dirname, "../../..");
const bin = join(repository, ".build/hostlab/bin");
const bus = "/sys/bus/pci";

const children = kernelChildren({
  script: join(repository, "agent/kernel-child.ts"),
  sleep: realSleep,
});
const port = linuxSysfs({ root: "", children });
const everything = cardsDriver({
  hostId: "33333333-3333-4333-8333-333333333333",
  port,
  pr: linuxCardPort({ port, children }),
  blanks: blanksOf([{ ...verifiedOf(words.blank), interfaceId: shell }]),
  cards: { "1234:1111": { vendor: "lab", product: "dfl", family: "dfl" } },
});

/** The driver as if this card were the only one of the machine. */
function only(address: string): Driver {
  return {
    ...everything,
    async discover() {
      const { devices, problems } = await everything.discover();
      return {
        devices: devices.filter((one) => one.address === address),
        problems: problems.filter((one) => one.address === address),
      };
    },
  };
}

interface LabCard {
  readonly address: string;
  readonly ports: number;
}

const playing = new Map<string, ChildProcess>();
const attribute = (name: string, value: string) => writeFileSync(`${bus}/${name}`, value);
const resource = ({ address }: LabCard) => `${bus}/devices/${address}/resource0`;

/** The card as it was when the machine was switched on. */
async function freshCard(card: LabCard): Promise<void> {
  const { address, ports } = card;
  const device = `${bus}/devices/${address}`;
  // Found again, it has its driver at once, whatever is left in its memory.
  if (!existsSync(device)) attribute("rescan", "1");
  playing.get(address)?.kill("SIGKILL");
  if (!existsSync(`${device}/driver`)) attribute(`devices/${address}/enable`, "1");
  const player = spawn(join(bin, "dflsim"), [resource(card), "run", String(ports)]);
  playing.set(address, player);
  await pause(50);
  if (existsSync(`${device}/driver`)) {
    attribute(`devices/${address}/driver/unbind`, address);
    attribute(`devices/${address}/enable`, "1");
  }
  execFileSync(join(bin, "dflsim"), [resource(card), "init", String(ports)]);
  attribute("drivers_probe", address);
  while ((await only(address).discover()).devices.length === 0) await pause(20);
}

async function intoGuest(address: string): Promise<() => Promise<void>> {
  attribute(`devices/${address}/driver_override`, "vfio-pci");
  attribute("drivers/dfl-pci/unbind", address);
  attribute("drivers_probe", address);
  const group = readlinkSync(`${bus}/devices/${address}/iommu_group`).split("/").at(-1) ?? "";
  const guest = spawn(join(bin, "vfiohold"), [group, address, "600"]);
  await new Promise((resolve) => guest.stdout.once("data", resolve));
  return async () => {
    const gone = new Promise((resolve) => guest.once("exit", resolve));
    guest.kill();
    await gone;
    attribute(`devices/${address}/driver_override`, "\n");
    attribute("drivers/vfio-pci/unbind", address);
    attribute("drivers_probe", address);
  };
}

function subjectOf(card: LabCard): () => Promise<DriverSubject> {
  return async () => {
    await freshCard(card);
    const { address } = card;
    return {
      driver: only(address),
      image: (_, n) => verifiedOf(n),
      intoGuest: () => intoGuest(address),
      failNext: async () => {
        execFileSync(join(bin, "dflsim"), [resource(card), "next", words.crcError.toString(16)]);
      },
      async breakCard() {
        attribute(`devices/${address}/driver_override`, "pci-pf-stub");
        attribute("drivers/dfl-pci/unbind", address);
        attribute("drivers_probe", address);
        attribute(`devices/${address}/driver_override`, "\n");
      },
      async removeCard() {
        if (existsSync(`${bus}/devices/${address}`)) attribute(`devices/${address}/remove`, "1");
      },
    };
  };
}

beforeAll(() => {
  attribute("drivers/dfl-pci/new_id", "1234 1111");
});

driverConformance("dfl, a whole card", subjectOf({ address: "0000:01:00.0", ports: 1 }));
driverConformance("dfl, two ports", subjectOf({ address: "0000:04:00.0", ports: 2 }), [
  {
    reason: "without SR-IOV the ports have no function of their own",
    tests: [
      "finds cards that the wire's schema takes, each part once",
      "programs and scrubs nothing while a guest has a handle",
    ],
  },
]);
