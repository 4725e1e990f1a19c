import { expect, test } from "vitest";
import { simulatedDriver } from "../../../agent/drivers/simulated.ts";
import { stockCards } from "../../../agent/host/memory-kernel/cards.ts";
import { bench, hostId } from "../kernels.ts";

const fleet = () => bench(stockCards({ dfl: 22, alveo: 21, sriov: 21 }));

test("a scan of 64 cards finds them all, each under an identity of its own", async () => {
  const { kernel, sleep } = fleet();
  const driver = simulatedDriver({ hostId, port: kernel, pr: kernel, sleep });
  const { devices, problems } = await driver.discover();
  expect(problems).toEqual([]);
  expect(devices).toHaveLength(64);
  expect(new Set(devices.map(({ cardId }) => cardId)).size).toBe(64);
  const ids = devices.flatMap(({ deployables }) => deployables.map(({ id }) => id));
  expect(new Set(ids).size).toBe(ids.length);
  expect(await driver.discover()).toEqual({ devices, problems });
});

test("one broken card is a problem and hides none of the other 63", async () => {
  const { kernel, sleep } = fleet();
  const driver = simulatedDriver({ hostId, port: kernel, pr: kernel, sleep });
  const before = await driver.discover();
  const [broken] = before.devices.slice(30);
  await kernel.setBroken(broken?.cardId ?? "", true);
  const { devices, problems } = await driver.discover();
  expect(problems.map(({ address }) => address)).toContain(broken?.address);
  const healthy = before.devices.filter(({ cardId }) => cardId !== broken?.cardId);
  expect(devices.filter(({ cardId }) => cardId !== broken?.cardId)).toEqual(healthy);
});

test("management functions and factory images are never handed out", async () => {
  const { kernel, sleep } = fleet();
  const driver = simulatedDriver({ hostId, port: kernel, pr: kernel, sleep });
  const { devices } = await driver.discover();
  const alveo = devices.filter(({ vendor }) => vendor === "xilinx");
  expect(alveo).toHaveLength(21);
  for (const { deployables } of alveo) {
    const addresses = deployables.flatMap(({ handles }) => handles.map(({ address }) => address));
    expect(addresses.every((address) => !address.endsWith(".0"))).toBe(true);
  }
});
