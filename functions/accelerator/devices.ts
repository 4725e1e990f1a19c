import type { Deployable } from "#domain/deployable";
import type { Device } from "#domain/host";
import { disable, enable } from "#domain/operating";
import { changeDeployable } from "#store/deployables";
import { fleetAfter } from "#store/fleet";
import { findDevice } from "#store/inventories";
import { deployableKey } from "#store/keys";
import { valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import { type Card, cardArguments, cardView, isWanted } from "./device-view.ts";
import type { Call, Endpoint } from "./endpoint.ts";
import { notFound, type Reply } from "./errors.ts";
import { type Listing, listingArguments, listingOf, pageOf } from "./listing.ts";
import type { Accelerator } from "./parts.ts";
import { uuidArgument } from "./uuids.ts";

/** Cards (cyborg.md §1.4). */

async function list({ binding: { store } }: Accelerator, call: Call): Promise<Reply> {
  const listing = listingOf(call.query);
  const devices = await pageOf((marker) => views(store, call, listing, marker), listing);
  return { status: 200, body: { devices } };
}

async function* views(
  store: Store,
  { query, base, minor }: Call,
  { filters }: Listing,
  marker: string | undefined,
) {
  for await (const devices of fleetAfter<Device>(store, "DEVICES#", marker)) {
    const cards = await withDeployables(
      store,
      devices.filter(({ present }) => present),
    );
    yield cards
      .filter((card) => isWanted(card, query, filters))
      .map((card) => cardView(card, base, minor));
  }
}

async function withDeployables(store: Store, devices: readonly Device[]): Promise<readonly Card[]> {
  const keys = devices.flatMap(({ host, deployables }) =>
    deployables.map((id) => deployableKey(host, id)),
  );
  const rows = await store.table.getMany(keys);
  const found = rows.flatMap((row) => valueOrUndefined<Deployable>(row) ?? []);
  const byDevice = Map.groupBy(found, ({ device }) => device);
  return devices.map((device) => ({ device, deployables: byDevice.get(device.id) ?? [] }));
}

/** The card of a path; 404, also when it is not in its host any more. */
async function cardOf(store: Store, call: Call): Promise<Card> {
  const id = uuidArgument(call.path["uuid"] ?? "");
  const device = await findDevice(store, id);
  if (device?.present !== true) throw notFound("Device", id);
  const [card] = await withDeployables(store, [device]);
  return card ?? { device, deployables: [] };
}

async function get({ binding: { store } }: Accelerator, call: Call): Promise<Reply> {
  return { status: 200, body: cardView(await cardOf(store, call), call.base, call.minor) };
}

/** All that the card has goes off or on offer; what is claimed stays with its claims. */
async function change(
  { binding: { store } }: Accelerator,
  call: Call,
  by: (deployable: Deployable, now: number) => Deployable,
): Promise<Reply> {
  const { deployables } = await cardOf(store, call);
  for (const one of deployables) {
    await changeDeployable(store, one, (newest) => by(newest, store.now()));
  }
  return { status: 204 };
}

/** The paths of devices. */
export function deviceEndpoints(parts: Accelerator): readonly Endpoint[] {
  return [
    {
      path: "devices",
      methods: {
        GET: {
          rule: "cyborg:device:get_all",
          takes: [...cardArguments, ...listingArguments],
          run: async (call) => await list(parts, call),
        },
      },
    },
    {
      path: "devices/{uuid}",
      methods: {
        GET: { rule: "cyborg:device:get_one", run: async (call) => await get(parts, call) },
      },
    },
    {
      path: "devices/{uuid}/enable",
      methods: {
        POST: {
          rule: "cyborg:device:enable",
          run: async (call) => await change(parts, call, enable),
        },
      },
    },
    {
      path: "devices/{uuid}/disable",
      methods: {
        POST: {
          rule: "cyborg:device:disable",
          run: async (call) => await change(parts, call, disable),
        },
      },
    },
  ];
}
