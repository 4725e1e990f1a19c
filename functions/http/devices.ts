import { Fault } from "#domain/faults";
import type { Device } from "#domain/host";
import { deployableRoutes } from "#protocol/http/deployable-routes";
import type { DeviceView } from "#protocol/http/deployables";
import { findDevice, listDevices } from "#store/inventories";
import type { Wanted } from "#store/lists";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { storeFrom } from "../parts/store.ts";
import type { Call } from "./call.ts";
import { handle, httpFunction } from "./stack.ts";
import { present, timeOf } from "./views.ts";

function deviceView(device: Device): DeviceView {
  const { updatedAt, deployables, ...facts } = device;
  return present({
    ...facts,
    deployables: [...deployables],
    updatedAt: timeOf(updatedAt),
  }) as DeviceView;
}

/** The device routes over a given store. */
export function devicesFunction(store: Store) {
  return httpFunction(deployableRoutes, {
    listDevices: handle(async (call: Call<unknown, Wanted & { readonly host?: string }>) => {
      const { host } = call.query;
      const keep = (device: Device) => host === undefined || device.host === host;
      const { items, next } = await listDevices(store, keep, call.query);
      return { body: { items: items.map(deviceView), next } };
    }),
    getDevice: handle(async (call: Call) => {
      const id = call.path["device"] ?? "";
      const device = await findDevice(store, id);
      if (device === undefined) {
        throw new Fault("UNKNOWN_DEVICE", `no device ${id}`, { field: "device" });
      }
      return { body: deviceView(device) };
    }),
  });
}

const build: Create = (environment) => devicesFunction(storeFrom(environment));

export { build as create };
export const handler = entry(build);
