import { describe, expect, test } from "vitest";
import { blankFunction, dflCard, sriovCard } from "../../../agent/host/memory-kernel/cards.ts";
import { memoryKernel } from "../../../agent/host/memory-kernel/kernel.ts";
import type { KernelState } from "../../../agent/host/memory-kernel/state.ts";
import {
  afuOf,
  bench,
  bootId,
  devices,
  drivers,
  engineOf,
  guest,
  nextBootId,
  stillPending,
  toVfio,
} from "../kernels.ts";

const ms = 1000;
const image = {
  bytes: Buffer.alloc(64),
  functionId: "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
} as const;
const quiet = () => undefined;
const errno = (code: string) => expect.objectContaining({ code });
const firstPf = "0000:10:00.0";
const vf0 = "0000:10:00.1";
const vf1 = "0000:10:00.2";

describe("what outlives what", () => {
  test("a restored kernel has its cards, drivers and holders as they were", async () => {
    const cards = [dflCard(0), sriovCard(1)];
    let last: KernelState | undefined;
    const { kernel } = bench(cards, {
      persist: (snapshot) => {
        last = JSON.parse(JSON.stringify(snapshot));
      },
    });
    const node = await toVfio(kernel, vf0);
    await kernel.open(node, guest);
    const again = bench(cards, { bootId: nextBootId, ...(last && { snapshot: last }) }).kernel;
    expect(again.snapshot()).toEqual(kernel.snapshot());
    expect(await again.holders(node)).toEqual([guest]);
    expect(await again.read("/proc/sys/kernel/random/boot_id")).toBe(bootId);
  });

  test("what changed a kernel returns only after it was persisted", async () => {
    let persisted = 0;
    const { kernel } = bench([sriovCard(0)], {
      persist: async () => {
        await new Promise((resolve) => setImmediate(resolve));
        persisted++;
      },
    });
    await kernel.write(`${devices}/${vf0}/driver_override`, "vfio-pci", ms);
    expect(persisted).toBe(1);
  });

  test("a change that could not be persisted is refused, the next one is not", async () => {
    let full = true;
    const { kernel } = bench([sriovCard(0)], {
      persist: async () => {
        if (full) throw new Error("no space");
      },
    });
    const override = () => kernel.write(`${devices}/${vf0}/driver_override`, "vfio-pci", ms);
    await expect(override()).rejects.toThrow("no space");
    full = false;
    await override();
  });

  test("a program that an agent's end cut off was finished by its kernel", async () => {
    const cards = [dflCard(0, { bootVfs: 0 })];
    const { kernel } = bench(cards);
    const running = kernel.programPort(await engineOf(kernel), 0, image, quiet);
    const again = memoryKernel({ cards, bootId, snapshot: kernel.snapshot() });
    expect(await afuOf(again, firstPf)).toBe(image.functionId.replaceAll("-", ""));
    await running;
  });

  test("a machine has its ids only when it was given one", async () => {
    const machineId = "44444444-4444-4444-8444-444444444444";
    const { kernel } = bench([], { machineId });
    expect(await kernel.read("/etc/machine-id")).toBe(machineId.replaceAll("-", ""));
    expect(await kernel.read("/sys/class/dmi/id/product_uuid")).toBe(machineId);
    expect(await bench([]).kernel.exists("/etc/machine-id")).toBe(false);
  });

  test("other cards than those of the snapshot mean a cold start", () => {
    const { kernel } = bench([dflCard(0)]);
    const options = { bootId: nextBootId, snapshot: kernel.snapshot() };
    expect(bench([dflCard(1)], options).kernel.snapshot().bootId).toBe(nextBootId);
  });

  test("a reboot forgets overrides, guests and logic, and boot scripts make the VFs", async () => {
    const { kernel } = bench([dflCard(0), sriovCard(1)]);
    await kernel.programPort(await engineOf(kernel), 1, image, quiet);
    const node = await toVfio(kernel, vf0);
    await kernel.open(node, guest);
    await kernel.reboot(nextBootId);
    expect(await kernel.read("/proc/sys/kernel/random/boot_id")).toBe(nextBootId);
    expect(await kernel.read(`${devices}/${vf0}/driver_override`)).toBe("(null)");
    expect(await kernel.holders(node)).toEqual([]);
    expect(await afuOf(kernel, vf1)).toBe(blankFunction.replaceAll("-", ""));
    expect(await kernel.exists("/sys/bus/pci/devices/0000:11:00.4")).toBe(true);
  });

  test("power off ends a hanging program and a blocked write with ENODEV", async () => {
    const { kernel, ids } = bench([dflCard(0), sriovCard(1)]);
    await kernel.failNext(ids[0] ?? "", "port0", "hang");
    const hanging = kernel.programPort(await engineOf(kernel), 0, image, quiet);
    const node = await toVfio(kernel, "0000:11:00.1");
    await kernel.open(node, guest);
    const blocked = kernel.write(`${drivers}/vfio-pci/unbind`, "0000:11:00.1", 1e9);
    const ends = Promise.allSettled([hanging, blocked]);
    await kernel.reboot(nextBootId);
    expect((await ends).map((end) => end.status === "rejected" && end.reason.code)).toEqual([
      "ENODEV",
      "ENODEV",
    ]);
  });

  test("a hanging program ends when it is let go", async () => {
    const { kernel, ids } = bench([dflCard(0)]);
    await kernel.failNext(ids[0] ?? "", "port0", "hang");
    let reached = 0;
    const hanging = kernel.programPort(await engineOf(kernel), 0, image, (percent) => {
      reached = percent;
    });
    await expect.poll(() => reached).toBe(100);
    expect(await stillPending(hanging)).toBe(true);
    await kernel.endHang(ids[0] ?? "", "port0");
    await hanging;
    expect(kernel.snapshot().cards[0]?.regions[0]?.loaded).toBe(image.functionId);
  });

  test("a card that is pulled while it is programmed did not get its image", async () => {
    const { kernel, ids } = bench([dflCard(0)]);
    const running = kernel.programPort(await engineOf(kernel), 0, image, quiet);
    await kernel.setPresent(ids[0] ?? "", false);
    await expect(running).rejects.toEqual(errno("ENODEV"));
    await kernel.setPresent(ids[0] ?? "", true);
    expect(await afuOf(kernel, vf0)).toBe(blankFunction.replaceAll("-", ""));
  });

  test("a planned failure counts down and hits only its region", async () => {
    const { kernel, ids } = bench([dflCard(0)]);
    const engine = await engineOf(kernel);
    await kernel.failNext(ids[0] ?? "", "port1", "wrong-read-back", 2);
    const loaded = () => kernel.snapshot().cards[0]?.regions.map((region) => region.loaded);
    await kernel.programPort(engine, 0, image, quiet);
    await kernel.programPort(engine, 1, image, quiet);
    await kernel.programPort(engine, 1, image, quiet);
    expect(loaded()).toEqual([image.functionId, "0badf00d-0bad-4bad-8bad-0badf00d0bad"]);
    await kernel.programPort(engine, 1, image, quiet);
    expect(loaded()).toEqual([image.functionId, image.functionId]);
    await expect(kernel.failNext("nowhere", "card", "crc")).rejects.toEqual(errno("ENODEV"));
  });
});
