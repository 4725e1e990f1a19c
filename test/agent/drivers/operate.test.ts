import { describe, expect, test } from "vitest";
import { type FaultCode, isFault } from "#domain/faults";
import type { CardOperation } from "../../../agent/drivers/driver.ts";
import { simulatedDriver } from "../../../agent/drivers/simulated.ts";
import { alveoCard, dflCard, sriovCard } from "../../../agent/host/memory-kernel/cards.ts";
import type { SysfsPort } from "../../../agent/host/sysfs-port.ts";
import { type Bench, bench, devices, firstPf, guest, hostId, nameOf, toVfio } from "../kernels.ts";

const fault = (code: FaultCode, detail: object = {}) =>
  expect.toSatisfy((error) => {
    expect(error).toMatchObject({ detail });
    return isFault(error, code);
  });

/** A driver whose writes to sriov_numvfs are counted. */
function counted({ kernel, sleep }: Bench, changes: Partial<SysfsPort> = {}) {
  const counts: string[] = [];
  const port: SysfsPort = {
    ...kernel,
    write: async (path, text, deadline) => {
      if (path.endsWith("/sriov_numvfs")) counts.push(text);
      await kernel.write(path, text, deadline);
    },
    ...changes,
  };
  const driver = simulatedDriver({ hostId, port, pr: kernel, sleep });
  const card = async () => {
    const [found] = (await driver.discover()).devices;
    if (found === undefined) throw new Error("no card");
    return found;
  };
  const operate = async (operation: CardOperation) => {
    await driver.operate?.(await card(), operation);
  };
  const handles = async () =>
    (await card()).deployables.flatMap((one) => one.handles.map(({ name }) => name));
  const usable = async () =>
    (await card()).deployables.map((one) => one.handles.some(({ attachable }) => attachable));
  return { counts, card, operate, handles, usable };
}

const vfs = (count: number): CardOperation => ({ kind: "layout", layout: "vfs", vfs: count });
const pf: CardOperation = { kind: "layout", layout: "pf" };
const regions = (count?: number): CardOperation => ({
  kind: "layout",
  layout: "regions",
  vfs: count,
});

describe("a card behind SR-IOV", () => {
  test("goes from VFs to its PF, and to another number of VFs", async () => {
    const it = counted(bench([sriovCard(0)]));
    expect((await it.card()).layout).toBe("vfs");
    await it.operate(pf);
    expect(await it.card()).toMatchObject({ layout: "pf" });
    expect(await it.handles()).toEqual(["pf"]);
    await it.operate(vfs(2));
    expect(await it.handles()).toEqual(["vf0", "vf1"]);
    await it.operate(vfs(3));
    expect(await it.handles()).toEqual(["vf0", "vf1", "vf2"]);
    expect(it.counts).toEqual(["0", "2", "0", "3"]);
  });

  test("is left alone when it is as wished", async () => {
    const it = counted(bench([sriovCard(0)]));
    await it.operate(vfs(4));
    expect(it.counts).toEqual([]);
  });

  test("loses none of its VFs to a wish for more than it can have", async () => {
    const it = counted(bench([sriovCard(0)]));
    await expect(it.operate(vfs(5))).rejects.toEqual(
      fault("INVALID_REQUEST", { field: "vfs", expected: "at most 4" }),
    );
    expect(it.counts).toEqual([]);
    expect(await it.handles()).toHaveLength(4);
  });

  test.each<CardOperation>([
    { kind: "layout", layout: "regions" },
    { kind: "layout", layout: "whole" },
    { kind: "layout", layout: "vfs" },
  ])("cannot be %j", async (operation) => {
    const it = counted(bench([sriovCard(0)]));
    await expect(it.operate(operation)).rejects.toEqual(fault("INVALID_REQUEST"));
    expect(it.counts).toEqual([]);
  });

  test("is never written to while a process has a VF", async () => {
    const lab = bench([sriovCard(0)]);
    await lab.kernel.open(await toVfio(lab.kernel, "0000:10:00.2"), guest);
    const it = counted(lab);
    for (const operation of [pf, vfs(2), { kind: "rebind" } as const]) {
      await expect(it.operate(operation)).rejects.toEqual(fault("IN_USE"));
    }
    expect(it.counts).toEqual([]);
    expect(await it.handles()).toHaveLength(4);
  });

  test("comes back from a rebind with as many VFs", async () => {
    const lab = bench([sriovCard(0)]);
    const it = counted(lab);
    await it.operate({ kind: "rebind" });
    expect(await it.handles()).toHaveLength(4);
    expect(await lab.kernel.readlink(`${devices}/${firstPf}/driver`)).toContain("sim-accel");
  });

  test("gets back a driver that it has lost", async () => {
    const lab = bench([sriovCard(0, { bootVfs: 0 })]);
    await lab.kernel.write("/sys/bus/pci/drivers/sim-accel/unbind", firstPf, 1);
    const it = counted(lab);
    await it.operate({ kind: "rebind" });
    await it.operate(vfs(1));
    expect(await it.handles()).toEqual(["vf0"]);
  });

  test("that another card has replaced is gone", async () => {
    const it = counted(bench([sriovCard(0)]));
    const card = { ...(await it.card()), cardId: "pci0000:00-09.0" };
    const { kernel, sleep } = bench([sriovCard(0)]);
    const driver = simulatedDriver({ hostId, port: kernel, pr: kernel, sleep });
    await expect(driver.operate?.(card, pf)).rejects.toEqual(fault("CARD_GONE"));
  });
});

describe("a DFL card", () => {
  test("gives VFs to some of its ports, to none, and to all", async () => {
    const it = counted(bench([dflCard(0)]));
    expect(await it.usable()).toEqual([true, true]);
    await it.operate(regions(1));
    expect(await it.usable()).toEqual([true, false]);
    await it.operate(regions());
    expect(await it.usable()).toEqual([true, true]);
    expect(it.counts).toEqual(["0", "1", "0", "2"]);
    await it.operate(regions(2));
    expect(it.counts).toHaveLength(4);
  });

  test("has regions only, and no more VFs than ports", async () => {
    const it = counted(bench([dflCard(0)]));
    for (const operation of [pf, vfs(2)]) {
      await expect(it.operate(operation)).rejects.toEqual(
        fault("INVALID_REQUEST", { field: "layout", expected: "regions" }),
      );
    }
    await expect(it.operate(regions(3))).rejects.toEqual(
      fault("INVALID_REQUEST", { field: "vfs" }),
    );
    expect(it.counts).toEqual([]);
  });

  test("is bound anew with the VFs it has", async () => {
    const lab = bench([dflCard(0)]);
    const before = await nameOf(lab.kernel, firstPf, "dfl-fme.");
    const it = counted(lab);
    await it.operate({ kind: "rebind" });
    expect(await it.usable()).toEqual([true, true]);
    expect(await nameOf(lab.kernel, firstPf, "dfl-fme.")).not.toBe(before);
  });

  test("is not touched while a guest has a VF or a process a port", async () => {
    const lab = bench([dflCard(0, { bootVfs: 1 })]);
    const it = counted(lab);
    const node = `/dev/${(await nameOf(lab.kernel, firstPf, "dfl-port.")).split("/").at(-1)}`;
    await lab.kernel.open(node, guest);
    await expect(it.operate({ kind: "rebind" })).rejects.toEqual(fault("IN_USE"));
    await lab.kernel.close(node, guest.pid);
    await lab.kernel.open(await toVfio(lab.kernel, "0000:10:00.1"), guest);
    await expect(it.operate(regions(2))).rejects.toEqual(fault("IN_USE"));
    expect(it.counts).toEqual([]);
  });

  test("whose kernel does not return is stuck, and one that refuses is sick", async () => {
    const failing = (code: string) => {
      const lab = bench([dflCard(0)]);
      const write: SysfsPort["write"] = async (path, text, deadline) => {
        if (path.endsWith("/unbind")) throw Object.assign(new Error(code), { code });
        await lab.kernel.write(path, text, deadline);
      };
      return counted(lab, { write }).operate({ kind: "rebind" });
    };
    await expect(failing("ETIMEDOUT")).rejects.toEqual(fault("CARD_STUCK"));
    await expect(failing("EIO")).rejects.toEqual(fault("CARD_DEGRADED", { errno: "EIO" }));
  });
});

test("a card of one layout is that already, and nothing else", async () => {
  const it = counted(bench([alveoCard(0)]));
  await it.operate({ kind: "layout", layout: "whole" });
  await expect(it.operate(pf)).rejects.toEqual(fault("INVALID_REQUEST", { expected: "whole" }));
  await expect(it.operate({ kind: "rebind" })).rejects.toEqual(
    fault("INVALID_REQUEST", { field: "kind" }),
  );
});
