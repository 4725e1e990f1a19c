/** A write that is on the list, and the function it is about. */
export interface KnownWrite {
  readonly verb: "override" | "unbind" | "bind" | "probe" | "vfs" | "autoprobe" | "reset";
  readonly address: string;
}

const bdf = "[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\\.[0-7]";
const address = new RegExp(`^${bdf}$`);
const driverName = "[A-Za-z0-9_-]{1,64}";

interface Rule {
  readonly verb: KnownWrite["verb"];
  readonly path: RegExp;
  readonly value: RegExp;
  /** The value is the address; otherwise the path's first group is. */
  readonly named?: true;
}

const device = (attribute: string) => new RegExp(`^/sys/bus/pci/devices/(${bdf})/${attribute}$`);

/** Every attribute that is ever written, with what may be written to it (host.md §3). */
const rules: readonly Rule[] = [
  {
    verb: "override",
    path: device("driver_override"),
    value: new RegExp(`^(\\n|${driverName})$`),
  },
  { verb: "vfs", path: device("sriov_numvfs"), value: /^\d{1,3}$/ },
  { verb: "autoprobe", path: device("sriov_drivers_autoprobe"), value: /^[01]$/ },
  { verb: "reset", path: device("reset"), value: /^1$/ },
  { verb: "probe", path: /^\/sys\/bus\/pci\/drivers_probe$/, value: address, named: true },
  {
    verb: "unbind",
    path: new RegExp(`^/sys/bus/pci/drivers/${driverName}/unbind$`),
    value: address,
    named: true,
  },
  {
    verb: "bind",
    path: new RegExp(`^/sys/bus/pci/drivers/${driverName}/bind$`),
    value: address,
    named: true,
  },
];

/** What a write is, or undefined when it is on no list. */
export function knownWrite(path: string, value: string): KnownWrite | undefined {
  for (const rule of rules) {
    const match = rule.path.exec(path);
    if (!match || !rule.value.test(value)) continue;
    const target = rule.named ? value : match[1];
    if (target !== undefined) return { verb: rule.verb, address: target };
  }
  return undefined;
}

/** Attributes that need privilege or block, and are told as they are. */
export function mayRead(path: string): boolean {
  return (
    path === "/sys/class/dmi/id/product_uuid" ||
    device("(?:driver_override|sriov_numvfs)").test(path)
  );
}

/** Device nodes whose holders are told. */
export function mayAskHolders(node: string): boolean {
  return /^\/dev\/(vfio\/\d{1,6}|dfl-(port|fme)\.\d{1,6}|intel-fpga-(port|fme)\.\d{1,6}|dri\/(card|renderD)\d{1,4})$/.test(
    node,
  );
}
