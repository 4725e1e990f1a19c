import { onTestFinished } from "vitest";
import { blanksOf, cardsDriver } from "../../agent/drivers/cards.ts";
import { verifiedImage } from "../agent/driver-fixtures.ts";
import { hostId } from "../agent/kernels.ts";
import { fakeTools } from "../agent/support/fake-tools.ts";
import { opaeCard, opaeShell } from "../agent/support/opae-card.ts";
import { type DriverSubject, driverConformance } from "./driver.ts";
import { blankImage, functions, handsOf } from "./subjects.ts";

async function subject(): Promise<DriverSubject> {
  const card = opaeCard();
  const { tools, close } = await fakeTools(card.fpgaconf);
  onTestFinished(close);
  const { kernel, port } = card;
  const blanks = blanksOf([blankImage("gbs", opaeShell)]);
  return {
    ...handsOf(kernel),
    driver: cardsDriver({ hostId, port, pr: { ...kernel }, tools, blanks }),
    image: ({ deployable }, n) =>
      verifiedImage("gbs", functions[n], deployable.interfaceId ?? opaeShell),
    failNext: async () => card.failNext(5),
  };
}

driverConformance("opae", subject);
