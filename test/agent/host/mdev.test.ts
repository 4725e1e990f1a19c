import { expect, test } from "vitest";
import { createMdev, mdevGroup, removeMdev } from "../../../agent/host/mdev.ts";
import { kernelError, type SysfsPort } from "../../../agent/host/sysfs-port.ts";

const uuid = "7d3f6f6e-52a0-4b8e-9a53-1f0f5f6a7b01";
const folder = "/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1";
const device = `/sys/bus/mdev/devices/${uuid}`;

/** A parent with one type, whose devices come and go as the kernel's do (host.md §4.4). */
function parent(errno?: string, held = false) {
  const there = new Set<string>();
  const writes: string[] = [];
  const port: SysfsPort = {
    read: async () => "",
    list: async () => [],
    async readlink(path) {
      if (path !== `${device}/iommu_group` || !there.has(device)) throw kernelError("ENOENT", path);
      return "../../../kernel/iommu_groups/7";
    },
    exists: async (path) => path === folder || there.has(path),
    async write(path, value) {
      writes.push(`${path} ${value}`);
      if (errno !== undefined) throw kernelError(errno, path);
      if (path === `${folder}/create`) there.add(device);
      else there.delete(device);
    },
    holders: async () => (held ? [{ pid: 42, command: "qemu" }] : []),
  };
  return { host: { port, deadlineMs: 1000 }, writes, there };
}

const wanted = { parent: "mtty", type: "mtty-1", uuid };

test("a device is made once, found by its group, and ended once", async () => {
  const { host, writes } = parent();
  await createMdev(host, wanted);
  await createMdev(host, wanted);
  expect(await mdevGroup(host.port, uuid)).toBe(7);
  await removeMdev(host, uuid);
  await removeMdev(host, uuid);
  expect(writes).toEqual([`${folder}/create ${uuid}`, `${device}/remove 1`]);
  expect(await mdevGroup(host.port, uuid)).toBeUndefined();
});

test("a device that somebody holds is not removed: the kernel would wait for ever", async () => {
  const { host, writes, there } = parent(undefined, true);
  there.add(device);
  await expect(removeMdev(host, uuid)).rejects.toMatchObject({
    code: "IN_USE",
    message: expect.stringContaining("qemu (42)"),
  });
  expect(writes).toEqual([]);
});

test.each([
  [{ ...wanted, parent: "../mtty" }, "INVALID_REQUEST"],
  [{ ...wanted, type: ".." }, "INVALID_REQUEST"],
  [{ ...wanted, uuid: "../../x" }, "INVALID_REQUEST"],
  [{ ...wanted, parent: "nobody" }, "NOT_FOUND"],
])("names that are none never become paths: %j is %s", async (what, code) => {
  const { host, writes } = parent();
  await expect(createMdev(host, what)).rejects.toMatchObject({ code });
  expect(writes).toEqual([]);
});

test.each([
  ["ENOSPC", "NO_CAPACITY"],
  ["ETIMEDOUT", "CARD_STUCK"],
  ["EIO", "CARD_DEGRADED"],
])("%s while one is made is %s", async (errno, code) => {
  await expect(createMdev(parent(errno).host, wanted)).rejects.toMatchObject({ code });
});

test("one that another made meanwhile is as good", async () => {
  await createMdev(parent("EEXIST").host, wanted);
});

test.each([
  ["ETIMEDOUT", "CARD_STUCK"],
  ["EIO", "CARD_DEGRADED"],
])("%s while one is removed is %s", async (errno, code) => {
  const { host, there } = parent(errno);
  there.add(device);
  await expect(removeMdev(host, uuid)).rejects.toMatchObject({ code });
});
