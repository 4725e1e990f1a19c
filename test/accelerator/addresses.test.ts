import { expect, test } from "vitest";
import { addClaimRow, addDeployable, addHost, heldHandle, idOf } from "../http/rows.ts";
import { admin, openDoor } from "./support.ts";

interface Shown {
  readonly attach_handle_info: object;
}

test("a bound request shows where its handle is now, also after the addresses moved", async () => {
  const door = openDoor();
  const host = await addHost(door.store, "cmp1");
  const handles = { pf: heldHandle("p1", idOf("arq"), { address: "0000:af:00.1" }) };
  const { id: deployable } = await addDeployable(door.store, host, "port0", { handles });
  const where = { host: host.id, deployable, handle: "pf", pciAddress: "0000:3b:00.0" };
  const instance = idOf("vm");
  await addClaimRow(door.store, "arq", { ...where, instance, provider: idOf("rp") });
  const now = { domain: "0000", bus: "af", device: "00", function: "1" };
  const one = await door.ask<Shown>("GET", `/v2/accelerator_requests/${idOf("arq")}`, admin);
  expect(one.body.attach_handle_info).toEqual(now);
  const path = `/v2/accelerator_requests?instance=${instance}`;
  const list = await door.ask<{ arqs: readonly Shown[] }>("GET", path, admin);
  expect(list.body.arqs.map((arq) => arq.attach_handle_info)).toEqual([now]);
});
