import { expect, test } from "vitest";
import { isFault } from "#domain/faults";
import { isKernelError } from "../../../agent/host/sysfs-port.ts";
import { judgeWrite } from "../../../agent/privileged/guard.ts";
import { bench, devices, firstPf, guest, toVfio } from "../kernels.ts";

const errno = (code: string) => expect.toSatisfy((error) => isKernelError(error, code));
const override = `${devices}/${firstPf}/driver_override`;

test("lets an accelerator that is known go to vfio-pci", async () => {
  const { kernel } = bench();
  const judged = judgeWrite({ port: kernel, cards: {}, deny: [] }, override, "vfio-pci");
  await expect(judged).resolves.toEqual({ verb: "override", address: firstPf });
});

test("leaves a card that the operator keeps", async () => {
  const { kernel } = bench();
  const judged = judgeWrite({ port: kernel, cards: {}, deny: [firstPf] }, override, "vfio-pci");
  await expect(judged).rejects.toEqual(errno("EPERM"));
});

test.each(["0x020000", "0x010802", "0x060400"])("leaves a function of class %s", async (code) => {
  const { kernel } = bench();
  const port = {
    ...kernel,
    read: async (path: string) =>
      path === `${devices}/${firstPf}/class` ? code : await kernel.read(path),
    list: (path: string) => kernel.list(path),
    readlink: (path: string) => kernel.readlink(path),
    exists: (path: string) => kernel.exists(path),
  };
  const judged = judgeWrite({ port, cards: {}, deny: [] }, override, "vfio-pci");
  await expect(judged).rejects.toEqual(errno("EPERM"));
});

test("says ENODEV for a function that is not on the bus", async () => {
  const { kernel } = bench();
  const path = `${devices}/0000:ff:00.0/reset`;
  const judged = judgeWrite({ port: kernel, cards: {}, deny: [] }, path, "1");
  await expect(judged).rejects.toEqual(errno("ENODEV"));
});

test("says EPERM for what is on no list, before anything is read", async () => {
  const { kernel } = bench();
  const path = `${devices}/${firstPf}/remove`;
  const judged = judgeWrite({ port: kernel, cards: {}, deny: [] }, path, "1");
  await expect(judged).rejects.toEqual(errno("EPERM"));
});

test("keeps the VFs while a guest has one", async () => {
  const { kernel } = bench();
  const found = await kernel.list(devices);
  const counts = await Promise.all(
    found.map(async (name) => [name, await kernel.exists(`${devices}/${name}/sriov_numvfs`)]),
  );
  const pfs = counts.filter(([, has]) => has === true).map(([name]) => String(name));
  const guard = { port: kernel, cards: {}, deny: [] };
  let refused = 0;
  for (const pf of pfs) {
    const links = (await kernel.list(`${devices}/${pf}`)).filter((one) => one.startsWith("virtfn"));
    const [link] = links;
    if (link === undefined) continue;
    const vf = (await kernel.readlink(`${devices}/${pf}/${link}`)).split("/").at(-1) ?? "";
    await kernel.open(await toVfio(kernel, vf), guest);
    const judged = judgeWrite(guard, `${devices}/${pf}/sriov_numvfs`, "0");
    await expect(judged).rejects.toSatisfy((error) => isFault(error, "IN_USE"));
    refused += 1;
  }
  expect(refused).toBeGreaterThan(0);
});
