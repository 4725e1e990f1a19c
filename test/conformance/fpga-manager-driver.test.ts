import { onTestFinished } from "vitest";
import { uuidOf } from "#protocol/uuid";
import { blanksOf, cardsDriver } from "../../agent/drivers/cards.ts";
import { blankFunction } from "../../agent/host/memory-kernel/cards.ts";
import { hostId } from "../agent/kernels.ts";
import { managerCard } from "../agent/support/manager-card.ts";
import { type DriverSubject, driverConformance } from "./driver.ts";
import { functions, handsOf, rawImage } from "./subjects.ts";

const shell = uuidOf("fpga-manager", "1172", "e003");
const blank = {
  functionId: blankFunction,
  interfaceId: shell,
  bytes: Buffer.from("blank"),
  payloadOffset: 0,
};

async function subject(): Promise<DriverSubject> {
  const card = await managerCard();
  onTestFinished(card.close);
  const { kernel, port, sleep, firmware } = card;
  const blanks = blanksOf([blank]);
  return {
    ...handsOf(kernel),
    driver: cardsDriver({ hostId, port, pr: { ...kernel }, sleep, firmware, blanks }),
    image: ({ deployable }, n) => rawImage(functions[n], deployable.interfaceId ?? shell),
    failNext: async () => card.failNext("EIO", "write complete error", "reconfig CRC error"),
  };
}

driverConformance("fpga-manager", subject);
