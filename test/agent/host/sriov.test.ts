import { describe, expect, test } from "vitest";
import { type FaultCode, isFault } from "#domain/faults";
import { sriovCard } from "../../../agent/host/memory-kernel/cards.ts";
import { vfsOf } from "../../../agent/host/pci.ts";
import { setVfs } from "../../../agent/host/sriov.ts";
import type { SysfsPort } from "../../../agent/host/sysfs-port.ts";
import { type Bench, bench, drivers, guest, toVfio } from "../kernels.ts";

const pf = "0000:10:00.0";
const fault = (code: FaultCode) => expect.toSatisfy((error) => isFault(error, code));
const host = ({ kernel, sleep }: Bench, port: SysfsPort = kernel) => ({
  port,
  sleep,
  deadlineMs: 5000,
});

describe("changing the number of VFs", () => {
  test("goes over 0 from one number to another, and nowhere when it is right", async () => {
    const lab = bench([sriovCard(0)]);
    await setVfs(host(lab), pf, 2);
    expect((await vfsOf(lab.kernel, pf)).size).toBe(2);
    const before = lab.kernel.snapshot();
    await setVfs(host(lab), pf, 2);
    expect(lab.kernel.snapshot()).toEqual(before);
    await setVfs(host(lab), pf, 0);
    expect((await vfsOf(lab.kernel, pf)).size).toBe(0);
  });

  test("a held VF saves its free neighbours too: nothing is written", async () => {
    const lab = bench([sriovCard(0)]);
    await lab.kernel.open(await toVfio(lab.kernel, "0000:10:00.2"), guest);
    await expect(setVfs(host(lab), pf, 0)).rejects.toEqual(fault("IN_USE"));
    expect((await vfsOf(lab.kernel, pf)).size).toBe(4);
  });

  test("a holder that came after the scan leaves the card stuck", async () => {
    const lab = bench([sriovCard(0)]);
    await lab.kernel.open(await toVfio(lab.kernel, "0000:10:00.2"), guest);
    const blind = { ...lab.kernel, holders: async () => [] };
    await expect(setVfs(host(lab, blind), pf, 0)).rejects.toEqual(fault("CARD_STUCK"));
  });

  test("more than the card has is a wrong request, a PF without driver a sick card", async () => {
    const lab = bench([sriovCard(0, { bootVfs: 0 })]);
    await expect(setVfs(host(lab), pf, 5)).rejects.toEqual(fault("INVALID_REQUEST"));
    await lab.kernel.write(`${drivers}/sim-accel/unbind`, pf, 1);
    await expect(setVfs(host(lab), pf, 2)).rejects.toEqual(fault("CARD_DEGRADED"));
  });

  test("a PF that leaves while it is written is gone", async () => {
    const lab = bench([sriovCard(0, { bootVfs: 0 })]);
    const leaving = {
      ...lab.kernel,
      write: () => Promise.reject(Object.assign(new Error("gone"), { code: "ENODEV" })),
    };
    await expect(setVfs(host(lab, leaving), pf, 2)).rejects.toEqual(fault("CARD_GONE"));
  });

  test("VFs that never show are a sick card", async () => {
    const lab = bench([sriovCard(0, { bootVfs: 0 })]);
    const deaf = { ...lab.kernel, write: async () => undefined };
    await expect(setVfs(host(lab, deaf), pf, 2)).rejects.toEqual(fault("CARD_DEGRADED"));
    expect(lab.now()).toBeGreaterThanOrEqual(2000);
  });
});
