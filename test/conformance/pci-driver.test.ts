import { cardsDriver } from "../../agent/drivers/cards.ts";
import type { KnownCard } from "../../agent/drivers/pci-ids.ts";
import { verifiedImage } from "../agent/driver-fixtures.ts";
import { hostId } from "../agent/kernels.ts";
import { plainCard } from "../agent/support/plain-card.ts";
import { type DriverException, type DriverSubject, driverConformance } from "./driver.ts";
import { functions, handsOf } from "./subjects.ts";

const shell = "69528db6-eb31-577a-9926-ab6d6c925a68";

function subject(kind: KnownCard["kind"], classCode: string, vfs: number): DriverSubject {
  const { kernel, port, sleep } = plainCard(classCode, { bootVfs: vfs });
  const entry: KnownCard = { vendor: "acme", product: "thing", family: "pci", listed: true };
  const cards = { "abcd:0001": { ...entry, ...(kind && { kind }) } };
  return {
    ...handsOf(kernel),
    driver: cardsDriver({ hostId, port, pr: { ...kernel }, sleep, cards }),
    image: (_, n) => verifiedImage("gbs", functions[n], shell),
    failNext: async () => undefined,
  };
}

const fixed: readonly DriverException[] = [
  {
    reason: "nothing of such a card can be programmed",
    tests: [
      "reports progress that only grows, up to the end",
      "resets without unloading",
      "loads an image that the card then names, and another after it",
      "leaves the neighbours of a programmed region alone",
      "starts nothing irreversible once it is called off",
      "fails with a word for it, and the next try may succeed",
      "calls a failed erase a failed scrub",
    ],
  },
];

driverConformance("pci with a GPU", () => subject("GPU", "0x030200", 0), fixed);
driverConformance("pci with a NIC's VFs", () => subject("NIC", "0x020000", 3), fixed);
driverConformance("pci with QAT", () => subject("QAT", "0x0b4000", 2), fixed);
driverConformance("pci with an SSD", () => subject("SSD", "0x010802", 0), fixed);
