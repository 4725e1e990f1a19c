import {
  type Deployable,
  type Handle,
  type Health,
  isLost,
  type Loaded,
  lostReason,
  type ScrubMethod,
  type Sharing,
} from "./deployable.ts";
import { sameContent } from "./same.ts";
import { hardwareTraits, resourceClassOf } from "./traits.ts";
import { scrubIfUnproven, withoutProofs } from "./transitions.ts";

/** A card as an inventory names it (wire/inventory.ts has the schema). */
export interface FoundDevice {
  readonly cardId: string;
  readonly kind: Deployable["kind"];
  readonly vendor: string;
  readonly product: string;
  readonly address: string;
  readonly numaNode?: number | undefined;
  readonly driver: string;
  readonly layout: Deployable["layout"];
}

/** A deployable as an inventory names it. */
export interface FoundDeployable {
  readonly id: string;
  readonly region: string;
  readonly interfaceId?: string | undefined;
  readonly programmable: boolean;
  readonly scrubMethod?: ScrubMethod | undefined;
  readonly sharing: Sharing;
  readonly loaded: Loaded;
  readonly health: Health;
  readonly handles: readonly {
    readonly name: string;
    readonly type: Handle["type"];
    readonly address: string;
    readonly iommuGroup?: number | undefined;
    readonly attachable: boolean;
    readonly reason?: string | undefined;
  }[];
}

/** Where it was found. */
export interface Finder {
  readonly host: string;
  readonly hostName: string;
  readonly device: string;
  readonly online: boolean;
  /** The operation that holds the card now: what is new on it is not offered before that is over. */
  readonly cardOperation?: string | undefined;
}

/**
 * The deployable an inventory describes, merged into what is known: facts are taken over, counters,
 * claims and wishes stay. A new one starts dirty, so it is scrubbed before it is ever offered.
 * Returns the same object when nothing changed.
 */
export function enrol(
  known: Deployable | undefined,
  found: FoundDeployable,
  facts: { readonly finder: Finder; readonly device: FoundDevice },
  now: number,
): Deployable {
  const base = known ?? blank(found, facts, now);
  const merged: Deployable = {
    ...base,
    ...hardware(found, facts),
    handles: mergeHandles(base, found),
    // Another shell is another card: what was proven was proven of the one before.
    clean: base.clean && base.interfaceId === found.interfaceId,
    present: found.health.state !== "gone",
    health: found.health,
    hostName: facts.finder.hostName,
    hostOnline: facts.finder.online,
  };
  const proven = scrubIfUnproven(withoutProofs(base, merged), now);
  if (known !== undefined && sameContent(known, proven)) return known;
  return { ...proven, revision: base.revision + 1, updatedAt: now };
}

function hardware(
  found: FoundDeployable,
  { finder, device }: { readonly finder: Finder; readonly device: FoundDevice },
): Pick<
  Deployable,
  | "device"
  | "cardId"
  | "kind"
  | "vendor"
  | "product"
  | "driver"
  | "layout"
  | "address"
  | "numaNode"
  | "resourceClass"
  | "traits"
  | "interfaceId"
  | "programmable"
  | "scrubMethod"
  | "sharing"
> {
  const { kind, vendor, product, cardId, driver, layout, address, numaNode } = device;
  const { interfaceId, programmable, scrubMethod, sharing } = found;
  const handleType = found.handles[0]?.type ?? "PF";
  return {
    device: finder.device,
    cardId,
    kind,
    vendor,
    product,
    driver,
    layout,
    address,
    numaNode,
    resourceClass: resourceClassOf({ kind, vendor, handleType }),
    traits: hardwareTraits({ kind, vendor, product, interfaceId }),
    interfaceId,
    programmable,
    scrubMethod,
    sharing,
  };
}

function blank(
  found: FoundDeployable,
  facts: { readonly finder: Finder; readonly device: FoundDevice },
  now: number,
): Deployable {
  return {
    id: found.id,
    host: facts.finder.host,
    hostName: facts.finder.hostName,
    region: found.region,
    ...hardware(found, facts),
    present: true,
    hostOnline: facts.finder.online,
    cardOperation: facts.finder.cardOperation,
    enabled: true,
    health: found.health,
    loaded: found.loaded,
    clean: false,
    revision: 0,
    imageGeneration: 0,
    wish: {},
    outcome: { generation: 0, result: "ready" },
    phase: "idle",
    reported: { epoch: 0, seq: 0 },
    handles: {},
    createdAt: now,
    updatedAt: now,
  };
}

/** A handle that is not found any more stays with its fence and claim, but cannot be attached. */
function mergeHandles(base: Deployable, found: FoundDeployable): Deployable["handles"] {
  const lost = Object.entries(base.handles).map(([name, handle]) => [
    name,
    { ...handle, attachable: false, reason: lostReason },
  ]);
  const seen = found.handles.map(({ name, ...facts }) => [
    name,
    {
      ...back(base.handles[name]),
      ...facts,
      iommuGroup: facts.iommuGroup,
      reason: facts.reason,
    },
  ]);
  return Object.fromEntries([...lost, ...seen]) as Deployable["handles"];
}

/** What was away was out of sight: it is clean when it has been cleaned again. */
function back(known: Handle | undefined): Pick<Handle, "fence" | "state" | "plugged"> {
  if (known === undefined) return { fence: 0, state: "releasing", plugged: false };
  return isLost(known) && known.state === "free" ? { ...known, state: "releasing" } : known;
}
