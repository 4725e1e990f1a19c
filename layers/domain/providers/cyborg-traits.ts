import type { Deployable } from "../deployable.ts";
import { customName } from "../traits.ts";

/** PCI device ids of products that Cyborg's drivers name by id, where our name for them is another. */
const productIds: ReadonlyMap<string, string> = new Map([
  ["f10a", "A115"],
  ["alveo-u200", "5000"],
  ["alveo-u250", "5004"],
  ["alveo-u280", "500C"],
]);

const ownFunction = "CUSTOM_FPGA_FUNCTION_";

/**
 * The traits that Cyborg's driver of this vendor sets (cyborg.md §4), with `_` where it writes `-`,
 * which Placement refuses. `shown` are our own traits: only a function that shows there shows here.
 */
export function cyborgTraits(deployable: Deployable, shown: readonly string[]): readonly string[] {
  switch (deployable.kind) {
    case "FPGA":
      return fpgaTraits(deployable, shown);
    case "GPU":
      return ["OWNER_CYBORG", customName(deployable.vendor, productId(deployable))];
    case "NIC": {
      const isVirtual = Object.values(deployable.handles).some(({ type }) => type === "VF");
      return [isVirtual ? "CUSTOM_VF" : "CUSTOM_PF"];
    }
    case "SSD":
      return [
        customName("SSD", deployable.vendor),
        customName("SSD_PRODUCT_ID", productId(deployable)),
      ];
    case "QAT":
      return [];
    default:
      return deployable.kind satisfies never;
  }
}

function fpgaTraits(deployable: Deployable, shown: readonly string[]): readonly string[] {
  const { vendor, product, interfaceId } = deployable;
  const maker = customName("FPGA", vendor);
  if (vendor.toLowerCase() !== "intel") {
    return [maker, customName("FPGA_PRODUCT_ID", productId(deployable))];
  }
  const functions = shown
    .filter((name) => name.startsWith(ownFunction))
    .map((name) => name.slice(ownFunction.length));
  return [
    maker,
    ...(product === "pac-a10-gx" ? ["CUSTOM_FPGA_INTEL_PAC_ARRIA10"] : []),
    ...(interfaceId === undefined ? [] : spelled("FPGA_REGION_INTEL", interfaceId)),
    ...functions.flatMap((id) => spelled("FPGA_FUNCTION_ID_INTEL", id)),
  ];
}

/** The driver's inventory writes an id in bare hex, its programming with the dashes. */
function spelled(kind: string, id: string): readonly string[] {
  return [customName(kind, id.replaceAll(/[-_]/g, "")), customName(kind, id)];
}

/** A card that is not in the agent's table is called `<vendor id>-<device id>`. */
function productId({ product }: Deployable): string {
  return productIds.get(product) ?? /^[\da-f]{4}-([\da-f]{4})$/i.exec(product)?.[1] ?? product;
}
