import { describe, expect, test } from "vitest";
import { isFault } from "#domain/faults";
import { hostUse } from "../../../agent/host/host-use.ts";
import { kernelError } from "../../../agent/host/sysfs-port.ts";
import { prepareBind, type VfioHost } from "../../../agent/host/vfio.ts";
import { firstPf, toVfio } from "../kernels.ts";
import { shows } from "../support/overlay.ts";
import { type PlainCard, plainCard, withDisk } from "../support/plain-card.ts";

const use = ({ port }: PlainCard) => hostUse(port, firstPf);

function ssd() {
  const card = plainCard("0x010802");
  withDisk(card);
  return card;
}

describe("an SSD", () => {
  test("with nothing mounted is not used", async () => {
    expect(await use(ssd())).toBeUndefined();
  });

  test.each([
    ["30 22 259:1 / /data rw - ext4 /dev/nvme0n1p1 rw", "nvme0n1p1 is mounted at /data"],
    ["30 22 259:0 / /data rw - xfs /dev/nvme0n1 rw", "nvme0n1 is mounted at /data"],
    ["30 22 0:45 /@ /data rw shared:2 - btrfs /dev/nvme0n1p1 rw", "nvme0n1p1 is mounted at /data"],
  ])("is used by a mount: %s", async (line, expected) => {
    const card = ssd();
    card.host["/proc/self/mountinfo"] = shows(() => line);
    expect(await use(card)).toBe(expected);
  });

  test("is used by swap, and by what is built on it", async () => {
    const swap = ssd();
    swap.host["/proc/swaps"] = shows(() => "Filename Type\n/dev/nvme0n1p1   partition 1 0 -2");
    expect(await use(swap)).toBe("nvme0n1p1 is swap");
    const stacked = ssd();
    stacked.host["/sys/class/block/nvme0n1p1/holders/dm-0"] = { link: "../../dm-0" };
    expect(await use(stacked)).toBe("dm-0 is on nvme0n1p1");
  });

  test("is found behind multipath too", async () => {
    const card = plainCard("0x010802");
    withDisk(card);
    delete card.host["/sys/class/block/nvme0n1"];
    delete card.host["/sys/class/block/nvme0n1p1"];
    card.parts["nvme/nvme3/nvme0c3n1/size"] = shows(() => "1");
    card.host["/sys/class/block/nvme0n1p1"] = {
      link: "../../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/nvme0n1p1",
    };
    card.host["/proc/self/mountinfo"] = shows(() => "1 1 259:1 / /data rw - ext4 x rw");
    expect(await use(card)).toBe("nvme0n1p1 is mounted at /data");
  });

  test("counts as used when nobody can say", async () => {
    const card = ssd();
    card.host["/proc/self/mountinfo"] = shows(() => {
      throw kernelError("EIO", "mountinfo");
    });
    expect(await use(card)).toBe("its mounts cannot be read");
  });
});

describe("a NIC", () => {
  test.each([
    ["0x1002", undefined],
    ["0x1003", "eth7 is up"],
    ["garbage", "eth7 is up"],
  ])("with the interface flags %s", async (flags, expected) => {
    const card = plainCard("0x020000");
    card.parts["net/eth7/flags"] = shows(() => flags);
    expect(await use(card)).toBe(expected);
  });
});

describe("a GPU", () => {
  test("is used as the host's screen, or by a process on its nodes", async () => {
    const card = plainCard("0x030200");
    card.parts["boot_vga"] = shows(() => "0");
    card.parts["drm/card0/dev"] = shows(() => "226:0");
    card.parts["drm/renderD128/dev"] = shows(() => "226:128");
    expect(await use(card)).toBeUndefined();
    card.open["/dev/dri/renderD128"] = [{ pid: 7, command: "ollama" }];
    expect(await use(card)).toBe("ollama has renderD128 open");
    card.parts["boot_vga"] = shows(() => "1");
    expect(await use(card)).toBe("it is the host's screen");
  });
});

test("QAT is used while its accelerator is up", async () => {
  const card = plainCard("0x0b4000");
  card.parts["qat/state"] = shows(() => "up");
  expect(await use(card)).toBe("its accelerator is up");
  card.parts["qat/state"] = shows(() => "down");
  expect(await use(card)).toBeUndefined();
});

describe("binding a card of a class that is refused otherwise", () => {
  const host = ({ port }: PlainCard, changes: Partial<VfioHost> = {}): VfioHost => ({
    port,
    sleep: async () => undefined,
    deadlineMs: 1000,
    allowed: () => true,
    ...changes,
  });
  const anyClass = (address: string) => address === firstPf;

  test("needs the operator's word for this address", async () => {
    const forbidden = expect.toSatisfy((error) => isFault(error, "FORBIDDEN"));
    for (const classCode of ["0x010802", "0x020000", "0x030000"]) {
      const card = plainCard(classCode);
      await expect(prepareBind(host(card), firstPf)).rejects.toEqual(forbidden);
      const other = host(card, { anyClass: () => false });
      await expect(prepareBind(other, firstPf)).rejects.toEqual(forbidden);
      const record = await prepareBind(host(card, { anyClass }), firstPf);
      expect(record.previousDriver).toBe("sim-accel");
    }
    const bridge = host(plainCard("0x060400"), { anyClass });
    await expect(prepareBind(bridge, firstPf)).rejects.toEqual(forbidden);
  });

  test("is refused for what was mounted since the last scan", async () => {
    const card = ssd();
    card.host["/proc/swaps"] = shows(() => "/dev/nvme0n1 disk");
    await expect(prepareBind(host(card, { anyClass }), firstPf)).rejects.toEqual(
      expect.toSatisfy((error) => isFault(error, "IN_USE")),
    );
  });

  test("may be repeated for one that is in a guest", async () => {
    const card = plainCard("0x020000");
    card.parts["net/eth7/flags"] = shows(() => "0x1003");
    await toVfio(card.kernel, firstPf);
    const record = await prepareBind(host(card, { anyClass }), firstPf);
    expect(record.previousDriver).toBe("vfio-pci");
  });
});
