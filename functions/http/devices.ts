import { Fault } from "#domain/faults";
import type { Device } from "#domain/host";
import type { CardRequestBody } from "#protocol/http/cards";
import { deployableRoutes } from "#protocol/http/deployable-routes";
import { findDevice, listDevices } from "#store/inventories";
import type { Wanted } from "#store/lists";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { storeFrom } from "../parts/store.ts";
import type { Answer, Call } from "./call.ts";
import { operateDevice, operationAnswer } from "./card-operations.ts";
import { handle, httpFunction } from "./stack.ts";
import { deviceView } from "./views/device.ts";

interface DeviceFilter extends Wanted {
  readonly host?: string;
}

async function list(store: Store, call: Call<unknown, DeviceFilter>): Promise<Answer> {
  const { host } = call.query;
  const keep = (device: Device) => host === undefined || device.host === host;
  const page = await listDevices(store, keep, call.query);
  return { body: { items: page.items.map(deviceView), next: page.next } };
}

/** The card of the path. UNKNOWN_DEVICE. */
async function deviceOf(store: Store, { path }: Pick<Call, "path">): Promise<Device> {
  const id = path["device"] ?? "";
  const device = await findDevice(store, id);
  if (device !== undefined) return device;
  throw new Fault("UNKNOWN_DEVICE", `no device ${id}`, { field: "device" });
}

/** The device routes over given parts. */
export function devicesFunction({ store }: { readonly store: Store }) {
  return httpFunction(deployableRoutes, {
    listDevices: handle(async (call: Call<unknown, DeviceFilter>) => await list(store, call)),
    getDevice: handle(async (call: Call) => ({ body: deviceView(await deviceOf(store, call)) })),
    operateDevice: handle(
      async (call: Call<CardRequestBody>) =>
        await operateDevice(store, await deviceOf(store, call), call),
    ),
    getDeviceOperation: handle(
      async (call: Call) =>
        await operationAnswer(store, await deviceOf(store, call), call.path["operation"] ?? ""),
    ),
  });
}

const build: Create = (environment) => devicesFunction({ store: storeFrom(environment) });

export { build as create };
export const handler = entry(build);
