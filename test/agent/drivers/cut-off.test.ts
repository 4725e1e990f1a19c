import { expect, test } from "vitest";
import type { CardMemory } from "../../../agent/drivers/card-family.ts";
import type { Driver } from "../../../agent/drivers/driver.ts";
import { simulatedDriver } from "../../../agent/drivers/simulated.ts";
import { dflCard } from "../../../agent/host/memory-kernel/cards.ts";
import type { MemoryKernel } from "../../../agent/host/memory-kernel/kernel.ts";
import { bench, hostId, toVfio } from "../kernels.ts";

function keptMemory(isKept = true): CardMemory {
  const facts = new Map<string, object>();
  return {
    recall: (id) => facts.get(id),
    remember: (id, what) => {
      facts.set(id, what);
      return isKept;
    },
  };
}

/** A kernel whose user dies when it has made `acts` changes: none of its calls returns after that. */
function mortal(kernel: MemoryKernel, acts: number) {
  let left = acts;
  let tell: () => void = () => undefined;
  const died = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const counted =
    <Given extends readonly unknown[]>(call: (...given: Given) => Promise<void>) =>
    async (...given: Given): Promise<void> => {
      if (left === 0) {
        tell();
        await new Promise<never>(() => undefined);
      }
      left -= 1;
      await call(...given);
    };
  const port: MemoryKernel = {
    ...kernel,
    write: counted((path, text, deadline) => kernel.write(path, text, deadline)),
    releasePort: counted((engine, port) => kernel.releasePort(engine, port)),
  };
  return { port, died };
}

const rebind = { kind: "rebind" } as const;

async function cardOf(driver: Driver) {
  const [card] = (await driver.discover()).devices;
  if (card === undefined) throw new Error("no card");
  return card;
}

type Card = Awaited<ReturnType<typeof cardOf>>;

const namesOf = ({ deployables }: Card) =>
  deployables.map(({ id, handles }) => [id, handles.map(({ name }) => name)]);

/** All but the numbers of IOMMU groups: new VFs get new ones. */
const seen = ({ deployables }: Card) =>
  deployables.map((one) => ({
    ...one,
    handles: one.handles.map((handle) => ({ ...handle, iommuGroup: undefined })),
  }));

/** Changes that a rebind of a card with two VFs makes, the last one that is not made excluded. */
async function actsOfRebind(): Promise<number> {
  const { kernel, sleep } = bench([dflCard(0)]);
  let acts = 0;
  const count =
    <Given extends unknown[]>(call: (...given: Given) => Promise<void>) =>
    async (...given: Given): Promise<void> => {
      acts += 1;
      await call(...given);
    };
  const port: MemoryKernel = {
    ...kernel,
    write: count((path, text, deadline) => kernel.write(path, text, deadline)),
    releasePort: count((engine, port) => kernel.releasePort(engine, port)),
  };
  const driver = simulatedDriver({ hostId, port, pr: port, sleep });
  await driver.operate?.(await cardOf(driver), rebind);
  return acts;
}

/** A card whose rebind was cut off after `acts` changes: as it was before, and its next driver. */
async function cutOff(acts: number) {
  const { kernel, sleep } = bench([dflCard(0)]);
  const memory = keptMemory();
  const { port, died } = mortal(kernel, acts);
  const dying = simulatedDriver({ hostId, port, pr: port, sleep, memory });
  const before = await cardOf(dying);
  void dying.operate?.(before, rebind);
  await died;
  const driver = simulatedDriver({ hostId, port: kernel, pr: kernel, sleep, memory });
  return { before, driver, label: `cut off after ${acts}` };
}

test("a rebind that is cut off anywhere is ended by a repair, with the VFs the card had", async () => {
  const acts = await actsOfRebind();
  expect(acts).toBeGreaterThan(4);
  for (let cut = 0; cut < acts; cut += 1) {
    const { before, driver, label } = await cutOff(cut);
    const found = await cardOf(driver);
    expect(namesOf(found), label).toEqual(namesOf(before));
    for (const deployable of found.deployables) {
      const place = { device: found, deployable };
      const { health } = await driver.observe(place);
      if (health.state !== "ok") await driver.repair?.(place);
    }
    expect(seen(await cardOf(driver)), label).toEqual(seen(before));
  }
});

test("the same rebind asked for again after it was cut off gives the VFs back", async () => {
  const acts = await actsOfRebind();
  for (let cut = 0; cut < acts; cut += 1) {
    const { before, driver, label } = await cutOff(cut);
    await driver.operate?.(await cardOf(driver), rebind);
    expect(seen(await cardOf(driver)), label).toEqual(seen(before));
  }
});

test("a card is not touched when its VFs cannot be written down first", async () => {
  const { kernel, sleep } = bench([dflCard(0)]);
  const memory = keptMemory(false);
  const driver = simulatedDriver({ hostId, port: kernel, pr: kernel, sleep, memory });
  const before = await cardOf(driver);
  const state = kernel.snapshot();
  await expect(driver.operate?.(before, rebind)).rejects.toMatchObject({ code: "DISK_FULL" });
  expect(kernel.snapshot()).toEqual(state);
});

test("a card whose PF another has is left alone by an operation", async () => {
  const { kernel, sleep } = bench([dflCard(0)]);
  const memory = keptMemory();
  const driver = simulatedDriver({ hostId, port: kernel, pr: kernel, sleep, memory });
  await driver.operate?.(await cardOf(driver), rebind);
  const before = await cardOf(driver);
  await toVfio(kernel, before.address);
  const state = kernel.snapshot();
  await expect(driver.operate?.(before, rebind)).rejects.toMatchObject({ code: "CARD_DEGRADED" });
  expect(kernel.snapshot()).toEqual(state);
});
