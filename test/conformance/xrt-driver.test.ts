import { onTestFinished } from "vitest";
import { blanksOf, cardsDriver } from "../../agent/drivers/cards.ts";
import { programUserBy } from "../../agent/host/tools.ts";
import { verifiedImage } from "../agent/driver-fixtures.ts";
import { hostId } from "../agent/kernels.ts";
import { fakeTools } from "../agent/support/fake-tools.ts";
import { xrtCard, xrtShell } from "../agent/support/xrt-card.ts";
import { type DriverSubject, driverConformance } from "./driver.ts";
import { blankImage, functions, handsOf } from "./subjects.ts";

async function subject(): Promise<DriverSubject> {
  const card = xrtCard();
  const { tools, close } = await fakeTools(card.tool);
  onTestFinished(close);
  const { kernel, sleep } = card;
  const blanks = blanksOf([blankImage("xclbin", xrtShell)]);
  const pr = { ...kernel, programUser: programUserBy(tools) };
  return {
    ...handsOf(kernel),
    driver: cardsDriver({ hostId, port: kernel, pr, tools, sleep, blanks }),
    image: ({ deployable }, n) =>
      verifiedImage("xclbin", functions[n], deployable.interfaceId ?? xrtShell),
    failNext: ({ device }) => kernel.failNext(device.cardId, "card", "crc"),
  };
}

driverConformance("xrt with its tools", subject);
