import { type Deployable, isLost } from "../deployable.ts";
import type { Image } from "../image.ts";
import { countOf, countOfHandle, possibleTraits } from "../inventory.ts";
import { cyborgTraits } from "./cyborg-traits.ts";
import type { Part } from "./provider.ts";

/**
 * The providers that Cyborg's drivers make (cyborg.md §4), so that the uuids of a running site stay:
 * one per card, and for network and QAT cards one per virtual function.
 */
export function cyborgParts(
  hostName: string,
  deployables: readonly Deployable[],
  images: readonly Image[],
): readonly Part[] {
  const cards = Map.groupBy(deployables, ({ host, device }) => `${host}\n${device}`);
  return [...cards.values()].flatMap((members) => {
    const card = `${hostName}_${cardAddress(members)}`;
    return members.flatMap((deployable) => {
      const shown = partOf(deployable, images);
      if (!isPerFunction(deployable)) {
        return [{ ...shown, name: card, count: countOf(deployable) }];
      }
      return Object.entries(deployable.handles).map(([handle, { address }]) => ({
        ...shown,
        name: `${hostName}_${address}`,
        count: countOfHandle(deployable, handle),
        handle,
      }));
    });
  });
}

function partOf(
  deployable: Deployable,
  images: readonly Image[],
): Pick<Part, "resourceClass" | "deployable" | "traits"> {
  const resourceClass = deployable.kind === "FPGA" ? "FPGA" : deployable.resourceClass;
  const shown = possibleTraits(deployable, images);
  return { resourceClass, deployable, traits: [...shown, ...cyborgTraits(deployable, shown)] };
}

/** Intel's FPGA driver names a card after the last of its virtual functions, the others after the card. */
function cardAddress(members: readonly Deployable[]): string {
  const [first] = members;
  if (first === undefined) throw new RangeError("a card has members");
  const isCalledByFunction = first.kind === "FPGA" && first.vendor.toLowerCase() === "intel";
  const functions = isCalledByFunction ? members.flatMap(virtualFunctions) : [];
  const asCard = functions.length === 0 && isQatOrNic(first) ? virtualFunctions(first) : [];
  return functions.toSorted().at(-1) ?? asCard.toSorted()[0] ?? first.address;
}

function virtualFunctions({ handles }: Deployable): readonly string[] {
  return Object.values(handles)
    .filter((one) => one.type === "VF" && !isLost(one))
    .map(({ address }) => address);
}

/** A card that is not shared counts once, so it cannot be one provider per function. */
function isPerFunction(deployable: Deployable): boolean {
  return isQatOrNic(deployable) && deployable.sharing !== "none";
}

function isQatOrNic({ kind }: Deployable): boolean {
  return kind === "NIC" || kind === "QAT";
}
