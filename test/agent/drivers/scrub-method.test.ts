import { describe, expect, test } from "vitest";
import { blanksOf, cardsDriver } from "../../../agent/drivers/cards.ts";
import {
  alveoCard,
  type CardDescription,
  sriovCard,
} from "../../../agent/host/memory-kernel/cards.ts";
import { blankImage } from "../../conformance/subjects.ts";
import { bench, hostId } from "../kernels.ts";

const shell = alveoCard(0).interfaceId;

async function found(card: CardDescription, blanks = blanksOf([])) {
  const { kernel, sleep } = bench([card]);
  const driver = cardsDriver({ hostId, port: kernel, pr: kernel, sleep, blanks });
  const [device] = (await driver.discover()).devices;
  const [deployable] = device?.deployables ?? [];
  return deployable;
}

describe("how cards are scrubbed", () => {
  test("by a blank image where there is one for the very shell", async () => {
    const blanks = blanksOf([blankImage("xclbin", shell)]);
    expect((await found(alveoCard(0), blanks))?.scrubMethod).toBe("erase");
    const other = blanksOf([blankImage("xclbin", "11111111-2222-4333-8444-555555555555")]);
    expect((await found(alveoCard(0), other))?.scrubMethod).toBe("reset");
  });

  test("by reset where nothing can be programmed", async () => {
    expect(await found(sriovCard(0))).toMatchObject({ scrubMethod: "reset" });
  });

  test("not at all without a reset of their own: then every handle says why", async () => {
    const deployable = await found(sriovCard(0, { reset: "none" }));
    expect(deployable?.scrubMethod).toBeUndefined();
    expect(deployable?.handles).toHaveLength(4);
    for (const { attachable, reason } of deployable?.handles ?? []) {
      expect([attachable, reason]).toEqual([false, "NO_SCRUB_METHOD"]);
    }
  });
});
