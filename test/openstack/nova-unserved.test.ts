import { randomUUID } from "node:crypto";
import { afterEach, beforeAll, expect, test } from "vitest";
import { startGatehouse } from "./gatehouse.ts";
import { bootImage, serversOf } from "./servers.ts";
import { demo } from "./services/keystone.ts";
import { type SharedStack, sharedStack } from "./shared.ts";

let stack: SharedStack;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  stack = await sharedStack();
});

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

test("a server whose bind fails at once does not run without its card", async () => {
  const gatehouse = await startGatehouse(stack);
  closing.push(gatehouse.close);
  const intel = "CUSTOM_FPGA_INTEL_VF";
  await gatehouse.addHost(stack.where.computeName, { dfl: 1 });
  await gatehouse.placed(intel, 2);
  const disk = await bootImage(stack, gatehouse.token);
  const servers = serversOf(stack, await stack.catalog.token(demo), disk);
  closing.push(servers.removeAll);
  const unknown = { [`resources:${intel}`]: "1", "accel:bitstream_id": randomUUID() };
  const { status, fault } = await servers.ended(
    await servers.boot(await gatehouse.flavor(unknown)),
  );
  expect(status).toBe("ERROR");
  expect(fault?.message).toMatch(/accelerator/i);
  expect(await gatehouse.arqs()).toEqual([]);
}, 60_000);

test("a trait that Cyborg's drivers set finds a card in its shape", async () => {
  const gatehouse = await startGatehouse(stack, { GATEHOUSE_PLACEMENT_SHAPE: "cyborg" });
  closing.push(gatehouse.close);
  await gatehouse.addHost(stack.where.computeName, { dfl: 1 });
  await gatehouse.placed("FPGA", 2);
  const disk = await bootImage(stack, gatehouse.token);
  const servers = serversOf(stack, await stack.catalog.token(demo), disk);
  closing.push(servers.removeAll);
  const trait = { "trait:CUSTOM_FPGA_INTEL_PAC_ARRIA10": "required" };
  const id = await servers.boot(await gatehouse.flavor({ "resources:FPGA": "1", ...trait }));
  await servers.settled(id, "ACTIVE");
  expect(await gatehouse.arqs(id)).toMatchObject([{ state: "Bound", attach_handle_type: "PCI" }]);
}, 60_000);
