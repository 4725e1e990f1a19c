import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { holdersOf } from "../../../../agent/host/linux/holders.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "gatehouse-holders-"));
  await mkdir(join(root, "dev/vfio"), { recursive: true });
  await mkdir(join(root, "proc/self"), { recursive: true });
  for (const group of ["7", "8"]) await writeFile(join(root, "dev/vfio", group), "");
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function started(pid: number, command: string, ...targets: readonly string[]) {
  const folder = join(root, "proc", String(pid));
  await mkdir(join(folder, "fd"), { recursive: true });
  await writeFile(join(folder, "comm"), `${command}\n`);
  for (const [index, target] of targets.entries()) {
    await symlink(target, join(folder, "fd", String(index)));
  }
}

test("finds every process that has the node open, by whatever path", async () => {
  const elsewhere = join(root, "elsewhere");
  await symlink(join(root, "dev/vfio/7"), elsewhere);
  await started(42, "qemu-system-x86", "socket:[1]", join(root, "dev/vfio/7"));
  await started(43, "vfiohold", elsewhere);
  await started(44, "other", join(root, "dev/vfio/8"), "anon_inode:[eventfd]");
  expect(await holdersOf(root, "/dev/vfio/7")).toEqual([
    { pid: 42, command: "qemu-system-x86" },
    { pid: 43, command: "vfiohold" },
  ]);
});

test("a node that is not there has no holders", async () => {
  await started(42, "qemu", join(root, "dev/vfio/7"));
  expect(await holdersOf(root, "/dev/vfio/9")).toEqual([]);
});

test("a process or descriptor that went away meanwhile is passed over", async () => {
  await mkdir(join(root, "proc/41"));
  await started(42, "qemu", join(root, "gone"), join(root, "dev/vfio/7"));
  expect(await holdersOf(root, "/dev/vfio/7")).toEqual([{ pid: 42, command: "qemu" }]);
});
