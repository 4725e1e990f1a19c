import { Fault } from "#domain/faults";
import type { Device } from "#domain/host";
import { deployableRoutes } from "#protocol/http/deployable-routes";
import { findDevice, listDevices } from "#store/inventories";
import type { Wanted } from "#store/lists";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { storeFrom } from "../parts/store.ts";
import type { Answer, Call } from "./call.ts";
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

async function get(store: Store, call: Call): Promise<Answer> {
  const id = call.path["device"] ?? "";
  const device = await findDevice(store, id);
  if (device === undefined) {
    throw new Fault("UNKNOWN_DEVICE", `no device ${id}`, { field: "device" });
  }
  return { body: deviceView(device) };
}

/** The device routes over given parts. */
export function devicesFunction({ store }: { readonly store: Store }) {
  return httpFunction(deployableRoutes, {
    listDevices: handle(async (call: Call<unknown, DeviceFilter>) => await list(store, call)),
    getDevice: handle(async (call: Call) => await get(store, call)),
  });
}

const build: Create = (environment) => devicesFunction({ store: storeFrom(environment) });

export { build as create };
export const handler = entry(build);
