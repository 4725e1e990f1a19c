import { describe, expect, test } from "vitest";
import {
  alveoCard,
  blankFunction,
  dflCard,
  sriovCard,
} from "../../../agent/host/memory-kernel/cards.ts";
import {
  afuOf,
  bench,
  bootId,
  devices,
  drivers,
  engineOf,
  firstPf,
  group,
  guest,
  nameOf,
  stillPending,
  toVfio,
} from "../kernels.ts";

const probeFile = "/sys/bus/pci/drivers_probe";
const ms = 1000;
const image = {
  bytes: Buffer.alloc(64),
  functionId: "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
} as const;
const quiet = () => undefined;
const byText = (a: string, b: string) => (a < b ? -1 : 1);
const errno = (code: string) => expect.objectContaining({ code });

const vf0 = "0000:10:00.1";
const vf1 = "0000:10:00.2";

describe("write rules of host.md §3.1", () => {
  const { kernel } = bench([sriovCard(0)]);
  const path = `${devices}/${firstPf}`;

  test("a missing attribute is ENOENT for every call", async () => {
    await expect(kernel.read(`${path}/nothing`)).rejects.toEqual(errno("ENOENT"));
    await expect(kernel.write(`${path}/nothing`, "1", ms)).rejects.toEqual(errno("ENOENT"));
    await expect(kernel.list(`${path}/nothing`)).rejects.toEqual(errno("ENOENT"));
    await expect(kernel.readlink(`${path}/nothing`)).rejects.toEqual(errno("ENOENT"));
    expect(await kernel.exists(`${path}/nothing`)).toBe(false);
  });

  test("reading a write-only and writing a read-only attribute is EACCES", async () => {
    await expect(kernel.read(probeFile)).rejects.toEqual(errno("EACCES"));
    await expect(kernel.read(`${path}/reset`)).rejects.toEqual(errno("EACCES"));
    await expect(kernel.write(`${path}/vendor`, "0x1", ms)).rejects.toEqual(errno("EACCES"));
  });

  test("an empty text is no write at all, a line end clears the override", async () => {
    const file = `${devices}/${vf0}/driver_override`;
    expect(await kernel.read(file)).toBe("(null)");
    await kernel.write(file, "vfio-pci\n", ms);
    await kernel.write(file, "", ms);
    expect(await kernel.read(file)).toBe("vfio-pci");
    await kernel.write(file, "\n", ms);
    expect(await kernel.read(file)).toBe("(null)");
    await kernel.write(file, "vfio-pci", ms);
    await kernel.write(file, "\0", ms);
    expect(await kernel.read(file)).toBe("(null)");
  });

  test("a folder is no file, a file is no folder, a plain file is no link", async () => {
    await expect(kernel.read(path)).rejects.toEqual(errno("EISDIR"));
    await expect(kernel.list(`${path}/vendor`)).rejects.toEqual(errno("ENOTDIR"));
    await expect(kernel.read(`${path}/vendor/x`)).rejects.toEqual(errno("ENOTDIR"));
    await expect(kernel.readlink(`${path}/vendor`)).rejects.toEqual(errno("EINVAL"));
    await expect(kernel.read("/dev/vfio/vfio")).rejects.toEqual(errno("EINVAL"));
  });

  test("links lead through the real topology", async () => {
    expect(await kernel.readlink(path)).toBe(
      "../../../devices/pci0000:00/0000:00:01.0/0000:10:00.0",
    );
    expect(await kernel.read(`${devices}/${vf0}/physfn/vendor`)).toBe("0x1bd4");
    expect(await kernel.read(`${drivers}/sim-accel/${firstPf}/device`)).toBe("0xa115");
    expect(await kernel.read("/proc/sys/kernel/random/boot_id")).toBe(bootId);
  });
});

describe("binding of host.md §3.2", () => {
  test("unbind of a function that another driver or none has is ENODEV", async () => {
    const { kernel } = bench([sriovCard(0)]);
    const unbind = (driver: string, address: string) =>
      kernel.write(`${drivers}/${driver}/unbind`, address, ms);
    await expect(unbind("vfio-pci", firstPf)).rejects.toEqual(errno("ENODEV"));
    await expect(unbind("sim-accel", vf0)).rejects.toEqual(errno("ENODEV"));
    await expect(unbind("sim-accel", "0000:99:00.0")).rejects.toEqual(errno("ENODEV"));
  });

  test("bind without a matching id or override is ENODEV, of a bound function EBUSY", async () => {
    const { kernel } = bench([sriovCard(0)]);
    const bind = (driver: string, address: string) =>
      kernel.write(`${drivers}/${driver}/bind`, address, ms);
    await expect(bind("vfio-pci", vf0)).rejects.toEqual(errno("ENODEV"));
    await expect(bind("sim-accel", firstPf)).rejects.toEqual(errno("EBUSY"));
    await expect(bind("sim-accel", "0000:99:00.0")).rejects.toEqual(errno("ENODEV"));
  });

  test("a probe succeeds although nothing binds when the override names no driver", async () => {
    const { kernel } = bench([sriovCard(0)]);
    await kernel.write(`${devices}/${vf0}/driver_override`, "no-such-driver", ms);
    await kernel.write(probeFile, vf0, ms);
    expect(await kernel.exists(`${devices}/${vf0}/driver`)).toBe(false);
  });

  test("a probe of no device is ENODEV, one that fails EINVAL", async () => {
    const { kernel } = bench([sriovCard(0)]);
    await expect(kernel.write(probeFile, "0000:99:00.0", ms)).rejects.toEqual(errno("ENODEV"));
    const port = "0000:00:01.0";
    await kernel.write(`${devices}/${port}/driver_override`, "vfio-pci", ms);
    await kernel.write(`${drivers}/pcieport/unbind`, port, ms);
    await expect(kernel.write(probeFile, port, ms)).rejects.toEqual(errno("EINVAL"));
  });

  test("vfio-pci brings its folder and the group's node, and takes them along", async () => {
    const { kernel } = bench([sriovCard(0)]);
    const node = await toVfio(kernel, vf0);
    expect(await kernel.list(`${devices}/${vf0}/vfio-dev`)).toEqual([
      expect.stringMatching(/^vfio\d+$/),
    ]);
    expect(await kernel.exists(node)).toBe(true);
    expect(await kernel.read(`${devices}/${vf0}/power_state`)).toBe("D3hot");
    await kernel.write(`${drivers}/vfio-pci/unbind`, vf0, ms);
    expect(await kernel.exists(node)).toBe(false);
    expect(await kernel.exists(`${devices}/${vf0}/vfio-dev`)).toBe(false);
  });
});

describe("groups and holders of host.md §3.3", () => {
  test("a group with a member on a host driver lets nobody in", async () => {
    const { kernel } = bench([alveoCard(0, { sharedGroup: true })]);
    const node = await toVfio(kernel, vf0);
    expect(await kernel.list(`/sys/kernel/iommu_groups/${node.slice(10)}/devices`)).toEqual([
      firstPf,
      vf0,
    ]);
    await expect(kernel.open(node, guest)).rejects.toEqual(errno("EPERM"));
    expect(await kernel.holders(node)).toEqual([]);
  });

  test("a held group is EBUSY for the next one and is in the holders", async () => {
    const { kernel } = bench([sriovCard(0)]);
    const node = await toVfio(kernel, vf0);
    await kernel.open(node, guest);
    await expect(kernel.open(node, { pid: 7, command: "x" })).rejects.toEqual(errno("EBUSY"));
    expect(await kernel.holders(node)).toEqual([guest]);
    await kernel.close(node, guest.pid);
    expect(await kernel.holders(node)).toEqual([]);
    await expect(kernel.open("/dev/vfio/999", guest)).rejects.toEqual(errno("ENOENT"));
  });

  test("no host driver binds to a member of a held group: probe EINVAL, bind EBUSY", async () => {
    const { kernel } = bench([alveoCard(0, { sharedGroup: true })]);
    await kernel.write(`${drivers}/xclmgmt/unbind`, firstPf, ms);
    await kernel.open(await toVfio(kernel, vf0), guest);
    await expect(kernel.write(probeFile, firstPf, ms)).rejects.toEqual(errno("EINVAL"));
    await expect(kernel.write(`${drivers}/xclmgmt/bind`, firstPf, ms)).rejects.toEqual(
      errno("EBUSY"),
    );
  });

  test("unbind of a held function ends late, and happens when the holder lets go", async () => {
    const { kernel, now } = bench([sriovCard(0)]);
    const node = await toVfio(kernel, vf0);
    await kernel.open(node, guest);
    const unbind = kernel.write(`${drivers}/vfio-pci/unbind`, vf0, 5000);
    await expect(unbind).rejects.toEqual(errno("ETIMEDOUT"));
    expect(now()).toBe(5000);
    expect(await kernel.exists(`${devices}/${vf0}/driver`)).toBe(true);
    await kernel.close(node, guest.pid);
    expect(await kernel.exists(`${devices}/${vf0}/driver`)).toBe(false);
  });
});

describe("SR-IOV of host.md §3.4", () => {
  const numvfs = `${devices}/${firstPf}/sriov_numvfs`;

  test("a VF has no SR-IOV attributes, its PF has them all", async () => {
    const { kernel } = bench([sriovCard(0)]);
    await expect(kernel.read(`${devices}/${vf0}/sriov_totalvfs`)).rejects.toEqual(errno("ENOENT"));
    expect(await kernel.read(`${devices}/${firstPf}/sriov_totalvfs`)).toBe("4");
    expect(await kernel.read(numvfs)).toBe("4");
    expect(await kernel.readlink(`${devices}/${firstPf}/virtfn1`)).toBe(`../${vf1}`);
  });

  test("the same number again is a success, another one without 0 between is EBUSY", async () => {
    const { kernel } = bench([sriovCard(0)]);
    await kernel.write(numvfs, "4", ms);
    await expect(kernel.write(numvfs, "2", ms)).rejects.toEqual(errno("EBUSY"));
    await kernel.write(numvfs, "0", ms);
    await kernel.write(numvfs, "2", ms);
    expect(await kernel.read(numvfs)).toBe("2");
  });

  test("more than there are is ERANGE, no number is EINVAL", async () => {
    const { kernel } = bench([sriovCard(0, { bootVfs: 0 })]);
    await expect(kernel.write(numvfs, "5", ms)).rejects.toEqual(errno("ERANGE"));
    for (const text of ["many", "-1", "1.5"]) {
      await expect(kernel.write(numvfs, text, ms)).rejects.toEqual(errno("EINVAL"));
    }
  });

  test("without a driver that supports it the write is ENOENT, pci-pf-stub supports it", async () => {
    const { kernel } = bench([sriovCard(0, { bootVfs: 0 })]);
    const override = (name: string) =>
      kernel.write(`${devices}/${firstPf}/driver_override`, name, ms);
    await kernel.write(`${drivers}/sim-accel/unbind`, firstPf, ms);
    await expect(kernel.write(numvfs, "2", ms)).rejects.toEqual(errno("ENOENT"));
    await toVfio(kernel, firstPf);
    await expect(kernel.write(numvfs, "2", ms)).rejects.toEqual(errno("ENOENT"));
    await kernel.write(`${drivers}/vfio-pci/unbind`, firstPf, ms);
    await override("pci-pf-stub");
    await kernel.write(probeFile, firstPf, ms);
    await kernel.write(numvfs, "2", ms);
    expect(await kernel.exists(`${devices}/${vf1}`)).toBe(true);
  });

  test("a generic driver leaves its VFs behind when it is unbound", async () => {
    const { kernel } = bench([sriovCard(0)]);
    await kernel.write(`${drivers}/sim-accel/unbind`, firstPf, ms);
    expect(await kernel.read(numvfs)).toBe("4");
    await kernel.write(`${drivers}/sim-accel/bind`, firstPf, ms);
    await kernel.write(numvfs, "0", ms);
    expect(await kernel.exists(`${devices}/${vf0}`)).toBe(false);
  });

  test("VFs probe only while autoprobe is on", async () => {
    const { kernel } = bench([dflCard(0)]);
    expect(await kernel.exists(`${devices}/${vf0}/driver`)).toBe(true);
    await kernel.write(numvfs, "0", ms);
    const autoprobe = `${devices}/${firstPf}/sriov_drivers_autoprobe`;
    await expect(kernel.write(autoprobe, "2", ms)).rejects.toEqual(errno("EINVAL"));
    await kernel.write(autoprobe, "0", ms);
    await kernel.write(numvfs, "2", ms);
    expect(await kernel.read(autoprobe)).toBe("0");
    expect(await kernel.exists(`${devices}/${vf0}/driver`)).toBe(false);
  });

  test("writing 0 while one VF is held blocks, and its free neighbours are gone already", async () => {
    const { kernel } = bench([sriovCard(0)]);
    const node = await toVfio(kernel, vf1);
    await kernel.open(node, guest);
    await expect(kernel.write(numvfs, "0", 3000)).rejects.toEqual(errno("ETIMEDOUT"));
    const left = (await kernel.list(`${devices}/${firstPf}`)).filter((name) =>
      name.startsWith("virtfn"),
    );
    expect(left).toEqual(["virtfn1"]);

    const blocked = [
      kernel.read(numvfs),
      kernel.read(`${devices}/${firstPf}/driver_override`),
      kernel.read(`${devices}/${vf1}/driver_override`),
    ];
    for (const read of blocked) expect(await stillPending(read)).toBe(true);
    const rescan = kernel.write("/sys/bus/pci/rescan", "1", 10);
    await expect(rescan).rejects.toEqual(errno("ETIMEDOUT"));
    expect(await kernel.read(`${devices}/${firstPf}/sriov_totalvfs`)).toBe("4");
    expect(await kernel.read(`${devices}/${vf1}/numa_node`)).toBe("0");

    await kernel.close(node, guest.pid);
    expect(await blocked[0]).toBe("0");
    expect(await blocked[1]).toBe("(null)");
    await expect(blocked[2]).rejects.toEqual(errno("ENOENT"));
    await kernel.write("/sys/bus/pci/rescan", "1", 10);
  });

  test("VFs come back at their addresses, in other groups", async () => {
    const { kernel } = bench([sriovCard(0)]);
    const before = await group(kernel, vf0);
    await kernel.write(numvfs, "0", ms);
    await kernel.write(numvfs, "4", ms);
    expect(await group(kernel, vf0)).not.toBe(before);
  });

  test("a DFL card gives exactly as many VFs as ports were released", async () => {
    const { kernel } = bench([dflCard(0, { bootVfs: 0 })]);
    const engine = await engineOf(kernel);
    await expect(kernel.write(numvfs, "1", ms)).rejects.toEqual(errno("EINVAL"));
    await kernel.releasePort(engine, 0);
    await expect(kernel.write(numvfs, "2", ms)).rejects.toEqual(errno("EINVAL"));
    await kernel.write(numvfs, "1", ms);
    expect(await kernel.read(`${await nameOf(kernel, vf0, "dfl-port.")}/id`)).toBe("0");
    expect(await kernel.read(`${await nameOf(kernel, firstPf, "dfl-port.")}/id`)).toBe("1");
  });
});

describe("reset of host.md §3.5", () => {
  const reset = `${devices}/${vf0}/reset`;

  test("FLR works, anything but 1 is EINVAL", async () => {
    const { kernel } = bench([sriovCard(0)]);
    expect(await kernel.read(`${devices}/${vf0}/reset_method`)).toBe("flr");
    await kernel.write(reset, "1", ms);
    await expect(kernel.write(reset, "2", ms)).rejects.toEqual(errno("EINVAL"));
  });

  test("no method that works is ENOTTY, no method at all means no file", async () => {
    const broken = bench([sriovCard(0, { reset: "broken" })]).kernel;
    await expect(broken.write(reset, "1", ms)).rejects.toEqual(errno("ENOTTY"));
    const none = bench([sriovCard(0, { reset: "none" })]).kernel;
    await expect(none.write(reset, "1", ms)).rejects.toEqual(errno("ENOENT"));
    expect(await none.read(`${devices}/${vf0}/reset_method`)).toBe("");
  });

  test("FLR clears a guest's registers and not the card's memory; a blank image does", async () => {
    const { kernel } = bench([dflCard(0)]);
    const node = await toVfio(kernel, vf0);
    await kernel.open(node, guest);
    await kernel.close(node, guest.pid);
    const traces = () => {
      const { cards, functions } = kernel.snapshot();
      const fn = functions.find(({ address }) => address === vf0);
      return { registers: fn?.dirty, memory: cards[0]?.regions[0]?.dirty };
    };
    expect(traces()).toEqual({ registers: true, memory: true });
    await kernel.write(reset, "1", ms);
    expect(traces()).toEqual({ registers: false, memory: true });
    const engine = await engineOf(kernel);
    await kernel.programPort(engine, 0, image, quiet);
    expect(traces().memory).toBe(true);
    await kernel.programPort(engine, 0, { ...image, functionId: blankFunction }, quiet);
    expect(traces().memory).toBe(false);
  });
});

describe("the DFL tree and its programming (host.md §1.3, §2.1, §2.5)", () => {
  const onPf = dflCard(0, { bootVfs: 0 });

  test("the engine, its manager and its regions are where the real driver has them", async () => {
    const { kernel } = bench([onPf]);
    const fme = await nameOf(kernel, firstPf, "dfl-fme.");
    expect(await kernel.read(`${fme}/ports_num`)).toBe("2");
    const region = (await kernel.list(fme)).find((name) => name.startsWith("dfl-fme-region."));
    const [inner] = await kernel.list(`${fme}/${region}/fpga_region`);
    expect(await kernel.read(`${fme}/${region}/fpga_region/${inner}/compat_id`)).toBe(
      "69528db6eb31577a9926ab6d6c925a68",
    );
    const [manager] = await kernel.list("/sys/class/fpga_manager");
    expect(await kernel.read(`/sys/class/fpga_manager/${manager}/name`)).toBe(
      "DFL FME FPGA Manager",
    );
    const regions = await kernel.list("/sys/class/fpga_region");
    const ids = regions.map((name) =>
      kernel.read(`/sys/class/fpga_region/${name}/compat_id`).catch((error) => error.code),
    );
    expect((await Promise.all(ids)).map(String).toSorted(byText)).toEqual([
      "69528db6eb31577a9926ab6d6c925a68",
      "69528db6eb31577a9926ab6d6c925a68",
      "ENOENT",
    ]);
  });

  test("a program changes one port's id and leaves the other", async () => {
    const { kernel, now } = bench([onPf]);
    const seen: number[] = [];
    await kernel.programPort(await engineOf(kernel), 0, image, (percent) => seen.push(percent));
    const port0 = await afuOf(kernel, firstPf);
    expect(port0).toBe(image.functionId.replaceAll("-", ""));
    expect(seen).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    expect(Math.round(now())).toBe(800);
    expect(kernel.snapshot().cards[0]?.regions[1]?.loaded).toBe(blankFunction);
    expect(kernel.snapshot().cards[0]?.managerState).toBe("operating");
  });

  test("while a port is programmed its id is EBUSY, and so is the engine", async () => {
    const { kernel } = bench([onPf]);
    const engine = await engineOf(kernel);
    const first = kernel.programPort(engine, 0, image, quiet);
    await expect(afuOf(kernel, firstPf)).rejects.toEqual(errno("EBUSY"));
    await expect(kernel.programPort(engine, 1, image, quiet)).rejects.toEqual(errno("EBUSY"));
    await first;
  });

  test("an unknown port is EINVAL, an engine that is held EBUSY, one that is gone ENOENT", async () => {
    const { kernel } = bench([onPf]);
    const engine = await engineOf(kernel);
    await expect(kernel.programPort(engine, 2, image, quiet)).rejects.toEqual(errno("EINVAL"));
    await kernel.open(engine, guest);
    await expect(kernel.programPort(engine, 0, image, quiet)).rejects.toEqual(errno("EBUSY"));
    // Unbinding does not wait for whoever has the engine open.
    await kernel.write(`${drivers}/dfl-pci/unbind`, firstPf, ms);
    await expect(kernel.programPort(engine, 0, image, quiet)).rejects.toEqual(errno("ENOENT"));
  });

  test("the kernel looks neither at the port's user nor at a port's VF", async () => {
    const { kernel } = bench([dflCard(0)]);
    await kernel.open(await toVfio(kernel, vf0), guest);
    await kernel.programPort(await engineOf(kernel), 0, image, quiet);
    expect(kernel.snapshot().cards[0]?.regions[0]?.loaded).toBe(image.functionId);
  });

  test.each([
    ["crc", "EIO", "write complete error", "reconfig CRC error"],
    ["incompatible", "EIO", "write complete error", "reconfig incompatible image"],
    ["timeout", "ETIMEDOUT", "write init error", ""],
  ] as const)("%s ends with %s and leaves the port in reset", async (kind, code, state, status) => {
    const { kernel, ids } = bench([onPf]);
    const engine = await engineOf(kernel);
    await kernel.failNext(ids[0] ?? "", "port0", kind);
    await expect(kernel.programPort(engine, 0, image, quiet)).rejects.toEqual(errno(code));
    const [manager] = await kernel.list("/sys/class/fpga_manager");
    expect(await kernel.read(`/sys/class/fpga_manager/${manager}/state`)).toBe(state);
    expect(await kernel.read(`/sys/class/fpga_manager/${manager}/status`)).toBe(status);
    await expect(afuOf(kernel, firstPf)).rejects.toEqual(errno("EBUSY"));

    // A later good program returns 0 and does not help either.
    await kernel.programPort(engine, 0, image, quiet);
    await expect(afuOf(kernel, firstPf)).rejects.toEqual(errno("EBUSY"));
  });

  test("a rebind of the PF brings a stuck port back with its last good logic", async () => {
    const { kernel, ids } = bench([dflCard(0)]);
    await kernel.programPort(await engineOf(kernel), 0, image, quiet);
    await kernel.failNext(ids[0] ?? "", "port0", "crc");
    const other = { ...image, functionId: "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb" };
    await expect(kernel.programPort(await engineOf(kernel), 0, other, quiet)).rejects.toEqual(
      errno("EIO"),
    );
    await kernel.write(`${drivers}/dfl-pci/unbind`, firstPf, ms);
    expect(await kernel.exists(`${devices}/${vf0}`)).toBe(false);
    await kernel.write(`${drivers}/dfl-pci/bind`, firstPf, ms);
    expect(await afuOf(kernel, firstPf)).toBe(image.functionId.replaceAll("-", ""));
  });

  test("the names of ports change with a rebind", async () => {
    const { kernel } = bench([onPf]);
    const before = await nameOf(kernel, firstPf, "dfl-port.");
    await kernel.write(`${drivers}/dfl-pci/unbind`, firstPf, ms);
    await kernel.write(`${drivers}/dfl-pci/bind`, firstPf, ms);
    expect(await nameOf(kernel, firstPf, "dfl-port.")).not.toBe(before);
  });

  test("bits for another shell do not work, whoever let them through", async () => {
    const { kernel } = bench([onPf]);
    const strange = { ...image, interfaceId: image.functionId };
    await expect(kernel.programPort(await engineOf(kernel), 0, strange, quiet)).rejects.toEqual(
      errno("EIO"),
    );
  });

  test("RELEASE and ASSIGN refuse a port in use, a second time and an unknown one", async () => {
    const { kernel } = bench([onPf]);
    const engine = await engineOf(kernel);
    const node = `/dev/${(await nameOf(kernel, firstPf, "dfl-port.")).split("/").at(-1)}`;
    await kernel.open(node, guest);
    await expect(kernel.releasePort(engine, 0)).rejects.toEqual(errno("EBUSY"));
    await kernel.close(node, guest.pid);
    await kernel.releasePort(engine, 0);
    expect(await kernel.exists(node)).toBe(false);
    await expect(kernel.releasePort(engine, 0)).rejects.toEqual(errno("EBUSY"));
    await expect(kernel.releasePort(engine, 9)).rejects.toEqual(errno("ENODEV"));
    await kernel.assignPort(engine, 0);
    await expect(kernel.assignPort(engine, 0)).rejects.toEqual(errno("EBUSY"));
    await expect(kernel.assignPort(engine, 9)).rejects.toEqual(errno("ENODEV"));
    // It is back, but without its driver.
    await expect(afuOf(kernel, firstPf)).rejects.toEqual(errno("ENOENT"));
  });
});

describe("XRT's attributes (host.md §1.5)", () => {
  const user = vf0;

  test("the user PF tells its xclbin while xocl has it", async () => {
    const { kernel } = bench([alveoCard(0)]);
    expect(await kernel.read(`${devices}/${user}/xclbinuuid`)).toBe("");
    await kernel.programUser(firstPf, image, quiet);
    expect(await kernel.read(`${devices}/${user}/xclbinuuid`)).toBe(image.functionId);
    await toVfio(kernel, user);
    await expect(kernel.read(`${devices}/${user}/xclbinuuid`)).rejects.toEqual(errno("ENOENT"));
  });

  test("a failed program leaves nothing loaded, a timeout takes the card offline", async () => {
    const { kernel, ids } = bench([alveoCard(0)]);
    await kernel.programUser(firstPf, image, quiet);
    await kernel.failNext(ids[0] ?? "", "card", "timeout");
    await expect(kernel.programUser(firstPf, image, quiet)).rejects.toEqual(errno("ETIMEDOUT"));
    expect(await kernel.read(`${devices}/${user}/xclbinuuid`)).toBe("");
    expect(await kernel.read(`${devices}/${firstPf}/dev_offline`)).toBe("1");
    await expect(kernel.programUser(firstPf, image, quiet)).rejects.toEqual(errno("EIO"));
    await kernel.write(`${devices}/${firstPf}/reset`, "1", ms);
    await kernel.programUser(firstPf, image, quiet);
  });

  test("only the management PF can be programmed through", async () => {
    const { kernel } = bench([alveoCard(0)]);
    await expect(kernel.programUser(user, image, quiet)).rejects.toEqual(errno("ENODEV"));
    await kernel.write(`${drivers}/xclmgmt/unbind`, firstPf, ms);
    await expect(kernel.programUser(firstPf, image, quiet)).rejects.toEqual(errno("ENODEV"));
  });
});
