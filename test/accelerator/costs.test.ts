import { beforeEach, expect, test } from "vitest";
import type { Deployable } from "#domain/deployable";
import type { Host } from "#domain/host";
import { type CountingTable, countingTable } from "#store/counting-table";
import { addDeployable, addHost, idOf } from "../http/rows.ts";
import {
  addDevice,
  admin,
  agentReports,
  bindOperations,
  type Door,
  member,
  nova,
  openDoor,
  providerOf,
  unbindOperations,
} from "./support.ts";

/** Sequential round trips to the table, as docs/table.md says them. */

const requests = "/v2/accelerator_requests";
const vm = idOf("vm");

let door: Door;
let counted: CountingTable;
let host: Host;
let card: Deployable;

beforeEach(async () => {
  const { parts, store } = openDoor();
  counted = countingTable(store.table);
  const counting = { ...store, table: counted };
  door = { ...openDoor({}, { binding: { ...parts.binding, store: counting } }), store };
  host = await addHost(store, "cmp1");
  card = await addDeployable(store, host, "port0");
  await addDevice(store, host, [card]);
  const groups = [{ "resources:CUSTOM_FPGA_INTEL_PF": "1" }];
  await door.ask("POST", "/v2/device_profiles", { ...admin, body: [{ name: "dp1", groups }] });
  await door.ask("DELETE", `${requests}/${await request()}`, member);
});

async function request(): Promise<string> {
  const body = { device_profile_name: "dp1" };
  const answer = await door.ask<{ arqs: { uuid: string }[] }>("POST", requests, {
    ...member,
    body,
  });
  return answer.body.arqs[0]?.uuid ?? "";
}

async function bound(): Promise<string> {
  const id = await request();
  const body = { [id]: bindOperations("cmp1", await providerOf(door, host, card), vm) };
  await door.ask("PATCH", requests, { ...nova, body });
  return id;
}

/** Round trips that waited for each other while this was done. */
async function costOf(doing: () => Promise<unknown>): Promise<number> {
  counted.reset();
  await doing();
  return counted.roundTrips().sequential;
}

test("a request is made in two", async () => {
  expect(await costOf(async () => await request())).toBe(2);
});

test("an instance's requests are listed in two, one is shown in one; one more once bound", async () => {
  const id = await bound();
  const list = async () => await door.ask("GET", `${requests}?instance=${vm}`, nova);
  const show = async () => await door.ask("GET", `${requests}/${id}`, nova);
  expect([await costOf(list), await costOf(show)]).toEqual([2, 1]);
  await agentReports(door.store, card, { clean: false });
  expect([await costOf(list), await costOf(show)]).toEqual([3, 2]);
});

test("a request is bound in seven", async () => {
  const id = await request();
  const body = { [id]: bindOperations("cmp1", await providerOf(door, host, card), vm) };
  const asking = { ...nova, body };
  expect(await costOf(async () => await door.ask("PATCH", requests, asking))).toBe(7);
});

test("a request is unbound in three and deleted in three", async () => {
  const id = await bound();
  const asking = { ...nova, body: { [id]: unbindOperations } };
  expect(await costOf(async () => await door.ask("PATCH", requests, asking))).toBe(3);
  const again = await bound();
  const path = `${requests}?arqs=${again}`;
  expect(await costOf(async () => await door.ask("DELETE", path, nova))).toBeLessThanOrEqual(3);
});

test.each([
  ["GET", "/v2/device_profiles?name=dp1", 1],
  ["GET", `/v2/devices/${idOf("cmp1/card")}`, 2],
  ["GET", `/v2/deployables/${idOf("cmp1/port0")}`, 2],
  ["GET", `/v2/attributes?deployable_id=${idOf("cmp1/port0")}`, 2],
  ["POST", `/v2/devices/${idOf("cmp1/card")}/disable`, 4],
] as const)("%s %s takes %i", async (method, path, cost) => {
  expect(await costOf(async () => await door.ask(method, path, admin))).toBe(cost);
});
