import * as fc from "fast-check";
import { expect, test } from "vitest";
import { knownWrite, mayAskHolders, mayRead } from "../../../agent/privileged/grammar.ts";

const bdf = "0000:3b:00.0";
const device = `/sys/bus/pci/devices/${bdf}`;

test.each([
  ["override", `${device}/driver_override`, "vfio-pci"],
  ["override", `${device}/driver_override`, "\n"],
  ["vfs", `${device}/sriov_numvfs`, "2"],
  ["autoprobe", `${device}/sriov_drivers_autoprobe`, "0"],
  ["reset", `${device}/reset`, "1"],
  ["probe", "/sys/bus/pci/drivers_probe", bdf],
  ["unbind", "/sys/bus/pci/drivers/dfl-pci/unbind", bdf],
  ["bind", "/sys/bus/pci/drivers/dfl-pci/bind", bdf],
])("knows the write %s of %s", (verb, path, value) => {
  expect(knownWrite(path, value)).toEqual({ verb, address: bdf });
});

test.each([
  [`${device}/driver_override`, "vfio-pci\n"],
  [`${device}/driver_override`, "../x"],
  [`${device}/driver_override`, ""],
  [`${device}/driver_override\n`, "vfio-pci"],
  [`${device}/../${bdf}/reset`, "1"],
  [`${device}/reset`, "2"],
  [`${device}/reset/`, "1"],
  [`${device}/remove`, "1"],
  [`${device}/enable`, "1"],
  [`${device}/sriov_numvfs`, "-1"],
  [`${device}/sriov_numvfs`, "1000"],
  [`${device}/sriov_drivers_autoprobe`, "2"],
  ["/sys/bus/pci/rescan", "1"],
  ["/sys/bus/pci/drivers/../drivers_probe/unbind", bdf],
  ["/sys/bus/pci/drivers/dfl-pci/new_id", "8086 0b30"],
  ["/sys/bus/pci/drivers/dfl-pci/unbind", "0000:3b:00.8"],
  ["/sys/bus/pci/drivers_probe", `${bdf}\n`],
  ["/etc/passwd", "x"],
])("knows no write of %s with %j", (path, value) => {
  expect(knownWrite(path, value)).toBeUndefined();
});

test("knows no write of a path or value that was made up", () => {
  const start = fc.constantFrom("", "/sys/", `${device}/`, "/sys/bus/pci/drivers/", "/dev/");
  fc.assert(
    fc.property(start, fc.string(), fc.string(), (folder, rest, value) => {
      expect(knownWrite(folder + rest, value)).toBeUndefined();
    }),
  );
});

test("tells of no file but the machine's uuid and two attributes", () => {
  expect(mayRead("/sys/class/dmi/id/product_uuid")).toBe(true);
  expect(mayRead(`${device}/driver_override`)).toBe(true);
  expect(mayRead(`${device}/sriov_numvfs`)).toBe(true);
  for (const path of ["/etc/shadow", `${device}/config`, `${device}/../driver_override`]) {
    expect(mayRead(path)).toBe(false);
  }
});

test("asks for holders of accelerators' nodes alone", () => {
  for (const node of ["/dev/vfio/7", "/dev/dfl-port.0", "/dev/dfl-fme.1", "/dev/dri/renderD128"]) {
    expect(mayAskHolders(node)).toBe(true);
  }
  for (const node of ["/dev/vfio/vfio", "/dev/sda", "/dev/vfio/../sda", "/dev/mem"]) {
    expect(mayAskHolders(node)).toBe(false);
  }
});
