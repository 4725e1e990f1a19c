import { describe, expect, test } from "vitest";
import { type FaultCode, isFault } from "#domain/faults";
import { alveoCard, dflCard, sriovCard } from "../../../agent/host/memory-kernel/cards.ts";
import type { SysfsPort } from "../../../agent/host/sysfs-port.ts";
import { bindVfio, prepareBind, unbindVfio, type VfioHost } from "../../../agent/host/vfio.ts";
import { groupViability, isOnVfio, vfioHolders } from "../../../agent/host/vfio-groups.ts";
import { type Bench, bench, devices, drivers, guest } from "../kernels.ts";

const vf = "0000:10:00.1";
const fault = (code: FaultCode) => expect.toSatisfy((error) => isFault(error, code));

function host({ kernel, sleep }: Bench, changes: Partial<VfioHost> = {}): VfioHost {
  return { port: kernel, sleep, deadlineMs: 5000, allowed: () => true, ...changes };
}

/** The kernel with some answers replaced. */
function port(kernel: SysfsPort, changes: Partial<SysfsPort>): SysfsPort {
  return { ...kernel, ...changes };
}

const driver = (kernel: SysfsPort) =>
  kernel.readlink(`${devices}/${vf}/driver`).then(
    (target) => target.split("/").at(-1),
    () => null,
  );

describe("binding to vfio-pci", () => {
  test.each([
    ["dfl-pci", dflCard(0)],
    ["xocl", alveoCard(0)],
    [null, sriovCard(0)],
  ] as const)("a function of %s goes there and comes back to it", async (name, card) => {
    const lab = bench([card]);
    const before = lab.kernel.snapshot();
    const record = await prepareBind(host(lab), vf);
    expect(record).toEqual({ address: vf, previousDriver: name, previousOverride: null });
    expect(lab.kernel.snapshot()).toEqual(before);

    const { node } = await bindVfio(host(lab), record);
    expect(await driver(lab.kernel)).toBe("vfio-pci");
    expect(await lab.kernel.exists(node)).toBe(true);

    await unbindVfio(host(lab), vf, record);
    expect(await driver(lab.kernel)).toBe(name);
    expect(await lab.kernel.read(`${devices}/${vf}/driver_override`)).toBe("(null)");
  });

  test("both ways may be repeated", async () => {
    const lab = bench([dflCard(0)]);
    const record = await prepareBind(host(lab), vf);
    const first = await bindVfio(host(lab), record);
    expect(await bindVfio(host(lab), record)).toEqual(first);
    await unbindVfio(host(lab), vf, record);
    await unbindVfio(host(lab), vf, record);
    expect(await driver(lab.kernel)).toBe("dfl-pci");
  });

  test("a bind that a kill cut off at any write is finished by doing it again", async () => {
    for (let writes = 0; writes < 3; writes++) {
      const lab = bench([dflCard(0)]);
      const record = await prepareBind(host(lab), vf);
      let left = writes;
      const killed = port(lab.kernel, {
        write: async (...args) => {
          if (left-- <= 0) throw new Error("killed");
          return lab.kernel.write(...args);
        },
      });
      await expect(bindVfio(host(lab, { port: killed }), record)).rejects.toThrow("killed");
      await bindVfio(host(lab), record);
      expect(await driver(lab.kernel)).toBe("vfio-pci");
      await unbindVfio(host(lab), vf, record);
      expect(await driver(lab.kernel)).toBe("dfl-pci");
    }
  });

  test("an unbind that a kill cut off at any write is finished by doing it again", async () => {
    for (let writes = 0; writes < 3; writes++) {
      const lab = bench([dflCard(0)]);
      const record = await prepareBind(host(lab), vf);
      await bindVfio(host(lab), record);
      let left = writes;
      const killed = port(lab.kernel, {
        write: async (...args) => {
          if (left-- <= 0) throw new Error("killed");
          return lab.kernel.write(...args);
        },
      });
      await expect(unbindVfio(host(lab, { port: killed }), vf, record)).rejects.toThrow("killed");
      await unbindVfio(host(lab), vf, record);
      expect(await driver(lab.kernel)).toBe("dfl-pci");
    }
  });

  test("an operator's own override is put back", async () => {
    const lab = bench([dflCard(0)]);
    await lab.kernel.write(`${devices}/${vf}/driver_override`, "dfl-pci", 1);
    const record = await prepareBind(host(lab), vf);
    await bindVfio(host(lab), record);
    await unbindVfio(host(lab), vf, record);
    expect(await lab.kernel.read(`${devices}/${vf}/driver_override`)).toBe("dfl-pci");
    expect(await driver(lab.kernel)).toBe("dfl-pci");
  });

  test("without a record the kernel chooses the driver", async () => {
    const lab = bench([dflCard(0)]);
    await bindVfio(host(lab), await prepareBind(host(lab), vf));
    await unbindVfio(host(lab), vf);
    expect(await driver(lab.kernel)).toBe("dfl-pci");
  });

  test("a function that was on vfio-pci before us stays there", async () => {
    const lab = bench([dflCard(0)]);
    await bindVfio(host(lab), await prepareBind(host(lab), vf));
    const record = await prepareBind(host(lab), vf);
    expect(record.previousDriver).toBe("vfio-pci");
    await unbindVfio(host(lab), vf, record);
    expect(await isOnVfio(lab.kernel, vf)).toBe(true);
  });
});

describe("what is refused before anything is touched", () => {
  const refuse = async (lab: Bench, code: FaultCode, changes: Partial<VfioHost> = {}) => {
    const before = lab.kernel.snapshot();
    await expect(prepareBind(host(lab, changes), vf)).rejects.toEqual(fault(code));
    expect(lab.kernel.snapshot()).toEqual(before);
  };

  test("an address that is not on the list", async () => {
    await refuse(bench([dflCard(0)]), "FORBIDDEN", { allowed: () => false });
  });

  test("text that is no address", async () => {
    const lab = bench([dflCard(0)]);
    await expect(prepareBind(host(lab), "../../etc")).rejects.toEqual(fault("INVALID_REQUEST"));
  });

  test.each(["0x010802", "0x020000", "0x030000", "0x060400"])("class %s", async (text) => {
    const lab = bench([dflCard(0)]);
    const read = (path: string) =>
      path.endsWith("/class") ? Promise.resolve(text) : lab.kernel.read(path);
    await refuse(lab, "FORBIDDEN", { port: port(lab.kernel, { read }) });
  });

  test("a card that cannot be read", async () => {
    const lab = bench([dflCard(0)]);
    await lab.kernel.setBroken(lab.ids[0] ?? "", true);
    await refuse(lab, "CARD_GONE");
  });

  test("a host without an IOMMU", async () => {
    const lab = bench([dflCard(0)]);
    const readlink = (path: string) =>
      path.endsWith("/iommu_group")
        ? Promise.reject(Object.assign(new Error("none"), { code: "ENOENT" }))
        : lab.kernel.readlink(path);
    await refuse(lab, "NO_IOMMU", { port: port(lab.kernel, { readlink }) });
  });

  test("a group in which the card's management PF is on a host driver", async () => {
    const lab = bench([alveoCard(0, { sharedGroup: true })]);
    await refuse(lab, "GROUP_NOT_VIABLE");
    expect(await groupViability(lab.kernel, vf)).toEqual({
      viable: false,
      blockers: [{ address: "0000:10:00.0", driver: "xclmgmt" }],
    });
    await lab.kernel.write(`${drivers}/xclmgmt/unbind`, "0000:10:00.0", 1);
    expect((await groupViability(lab.kernel, vf)).viable).toBe(true);
  });

  test.each([
    ["a host without the module", "/sys/module/vfio_pci", false],
    ["a function that driverctl manages", `/etc/driverctl.d/pci-${vf}`, true],
  ])("%s", async (_, path, there) => {
    const lab = bench([dflCard(0)]);
    const exists = (asked: string) =>
      asked === path ? Promise.resolve(there) : lab.kernel.exists(asked);
    await refuse(lab, "PLUG_FAILED", { port: port(lab.kernel, { exists }) });
  });
});

describe("what goes wrong on the way", () => {
  test("a guest's function is not taken away", async () => {
    const lab = bench([dflCard(0)]);
    const record = await prepareBind(host(lab), vf);
    const { node } = await bindVfio(host(lab), record);
    await lab.kernel.open(node, guest);
    await expect(unbindVfio(host(lab), vf, record)).rejects.toEqual(fault("IN_USE"));
    expect(await vfioHolders(lab.kernel, vf)).toEqual([guest]);
    expect(await isOnVfio(lab.kernel, vf)).toBe(true);
  });

  test("a guest that got in after the scan makes the card stuck, not the agent", async () => {
    const lab = bench([dflCard(0)]);
    const record = await prepareBind(host(lab), vf);
    const { node } = await bindVfio(host(lab), record);
    await lab.kernel.open(node, guest);
    const blind = port(lab.kernel, { holders: async () => [] });
    await expect(unbindVfio(host(lab, { port: blind }), vf, record)).rejects.toEqual(
      fault("CARD_STUCK"),
    );
    expect(lab.now()).toBe(5000);
  });

  test("a function that left meanwhile is gone", async () => {
    const lab = bench([dflCard(0)]);
    const record = await prepareBind(host(lab), vf);
    await lab.kernel.setPresent(lab.ids[0] ?? "", false);
    await expect(bindVfio(host(lab), record)).rejects.toEqual(fault("CARD_GONE"));
    await expect(unbindVfio(host(lab), vf, record)).rejects.toEqual(fault("CARD_GONE"));
  });

  test("a bind that the kernel takes without effect is undone after 2 s", async () => {
    const lab = bench([dflCard(0)]);
    const record = await prepareBind(host(lab), vf);
    let probes = 0;
    const deaf = port(lab.kernel, {
      write: async (path, value, ms) => {
        if (path.endsWith("/drivers_probe") && probes++ === 0) return;
        await lab.kernel.write(path, value, ms);
      },
    });
    await expect(bindVfio(host(lab, { port: deaf }), record)).rejects.toEqual(fault("PLUG_FAILED"));
    expect(lab.now()).toBeGreaterThanOrEqual(2000);
    expect(await driver(lab.kernel)).toBe("dfl-pci");
  });

  test("an unbind after which the driver does not come back is a failure", async () => {
    const lab = bench([dflCard(0)]);
    const record = await prepareBind(host(lab), vf);
    await bindVfio(host(lab), record);
    const deaf = port(lab.kernel, {
      write: async (path, value, ms) => {
        if (!path.endsWith("/drivers_probe")) await lab.kernel.write(path, value, ms);
      },
    });
    await expect(unbindVfio(host(lab, { port: deaf }), vf, record)).rejects.toEqual(
      fault("UNPLUG_FAILED"),
    );
  });
});
