import type { Deployable } from "#domain/deployable";
import { isCounted } from "#domain/inventory";
import { fleetAfter } from "#store/fleet";
import {
  deployableOf,
  deployableView,
  nameOf,
  type Placed,
  placed,
  shown,
} from "./deployable-view.ts";
import { meetsCommonly } from "./device-view.ts";
import type { Call, Endpoint } from "./endpoint.ts";
import type { Reply } from "./errors.ts";
import { type Listing, listingArguments, listingOf, pageOf } from "./listing.ts";
import type { Accelerator } from "./parts.ts";
import { programFromPath } from "./program.ts";
import type { FilterField } from "./query.ts";

/** Deployables (cyborg.md §1.5). */

async function list(parts: Accelerator, call: Call): Promise<Reply> {
  const listing = listingOf(call.query);
  const deployables = await pageOf((marker) => views(parts, call, listing, marker), listing);
  return { status: 200, body: { deployables } };
}

async function* views(
  { binding: { store }, settings: { shape } }: Accelerator,
  { base }: Call,
  { filters }: Listing,
  marker: string | undefined,
) {
  for await (const deployables of fleetAfter<Deployable>(store, "DEPLOYABLES#", marker)) {
    const all = await placed(store, shape, deployables.filter(isCounted));
    yield all
      .filter((one) => [...filters].every(([field, value]) => meets(one, { field, value, shape })))
      .map((one) => deployableView(one, { shape, base }));
  }
}

function meets(
  one: Placed,
  {
    field,
    value,
    shape,
  }: {
    readonly field: FilterField;
    readonly value: string;
    readonly shape: Accelerator["settings"]["shape"];
  },
): boolean {
  const { deployable } = one;
  if (field === "name") return value === nameOf(one, shape);
  if (field === "board") return value === deployable.product;
  return meetsCommonly({ id: deployable.id, deployables: [deployable] }, field, value);
}

async function get(parts: Accelerator, call: Call): Promise<Reply> {
  const { store } = parts.binding;
  const deployable = await deployableOf(store, call.path["uuid"] ?? "");
  return { status: 200, body: await shown(parts, deployable, call.base) };
}

/** The paths of deployables. Two of them program: old and new SDKs differ (cyborg.md §1.5). */
export function deployableEndpoints(parts: Accelerator): readonly Endpoint[] {
  const program: Endpoint["methods"] = {
    PATCH: {
      rule: "cyborg:deployable:program",
      run: async (call) => await programFromPath(parts, call),
    },
  };
  return [
    {
      path: "deployables",
      methods: {
        GET: {
          rule: "cyborg:deployable:get_all",
          takes: listingArguments,
          run: async (call) => await list(parts, call),
        },
      },
    },
    {
      path: "deployables/{uuid}",
      methods: {
        GET: { rule: "cyborg:deployable:get_one", run: async (call) => await get(parts, call) },
      },
    },
    { path: "deployables/{uuid}/program", methods: program },
    { path: "deployables/{uuid}/program/{same}", methods: program },
  ];
}
