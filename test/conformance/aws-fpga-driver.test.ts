import { onTestFinished } from "vitest";
import { cardsDriver } from "../../agent/drivers/cards.ts";
import { hostId } from "../agent/kernels.ts";
import { awsCard } from "../agent/support/aws-card.ts";
import { fakeTools } from "../agent/support/fake-tools.ts";
import { type DriverSubject, driverConformance } from "./driver.ts";
import { afiImage, handsOf } from "./subjects.ts";

const ids = { 1: "agfi-11111111111111111", 2: "agfi-22222222222222222" } as const;

async function subject(): Promise<DriverSubject> {
  const card = awsCard();
  const { tools, close } = await fakeTools(card.tool);
  onTestFinished(close);
  const { kernel, port, sleep } = card;
  return {
    ...handsOf(kernel),
    driver: cardsDriver({ hostId, port, pr: { ...kernel }, tools, sleep }),
    image: ({ deployable }, n) => afiImage(ids[n], deployable.interfaceId ?? ""),
    // One failed load is cured by clearing the slot: that has to fail as well.
    failNext: async () => void card.failures.push("unspecified-error", "unspecified-error"),
  };
}

driverConformance("aws-fpga", subject);
