/** Placement's longest trait or resource class name, in characters. */
const longest = 255;

/**
 * `CUSTOM_` + the parts in upper case, every other character than A–Z, 0–9 replaced by `_`
 * (Placement refuses all else, reference/cyborg.md §9).
 */
export function customName(...parts: readonly string[]): string {
  const name = parts
    .join("_")
    .toUpperCase()
    .replaceAll(/[^A-Z0-9]+/g, "_")
    .replaceAll(/^_+|_+$/g, "");
  return `CUSTOM_${name}`.slice(0, longest);
}

/** True for a name Placement accepts as a trait: standard or custom. */
export function isTraitName(name: string): boolean {
  return name.length <= longest && /^[A-Z][A-Z0-9_]*$/.test(name);
}

/** Resource classes that Placement knows for a kind; FPGAs use the mail's `CUSTOM_FPGA_<VENDOR>_<PF|VF>`. */
export function resourceClassOf(device: {
  readonly kind: "FPGA" | "GPU" | "NIC" | "QAT" | "SSD";
  readonly vendor: string;
  readonly handleType: "PF" | "VF" | "MDEV";
}): string {
  switch (device.kind) {
    case "FPGA":
      return customName("FPGA", device.vendor, device.handleType);
    case "GPU":
      return device.handleType === "MDEV" ? "VGPU" : "PGPU";
    case "NIC":
    case "QAT":
    case "SSD":
      return customName(device.kind);
    default:
      return device.kind satisfies never;
  }
}

/** What the hardware is, whatever is loaded (design §9). */
export function hardwareTraits(device: {
  readonly kind: string;
  readonly vendor: string;
  readonly product: string;
  readonly interfaceId?: string | undefined;
}): readonly string[] {
  const traits = [
    customName(device.kind),
    customName("HW", device.vendor),
    customName(device.kind, device.vendor, device.product),
  ];
  return device.interfaceId === undefined
    ? traits
    : [...traits, customName(device.kind, "REGION", device.interfaceId)];
}

/** What a loaded or loadable image adds: its function, and its type in the mail's two spellings. */
export function imageTraits(image: {
  readonly functionId?: string | null | undefined;
  readonly type?: string | undefined;
}): readonly string[] {
  const { functionId, type } = image;
  return [
    ...(functionId === undefined || functionId === null
      ? []
      : [customName("FPGA_FUNCTION", functionId)]),
    ...(type === undefined ? [] : [customName("ACCELERATOR", type), customName("HW", type)]),
  ];
}
