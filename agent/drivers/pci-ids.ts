import type { InventoryDevice } from "#protocol/wire/inventory";

/** What is known of a card by its PCI ids alone. */
export interface KnownCard {
  readonly vendor: string;
  readonly product: string;
  /** Name of the driver that handles it unless sysfs shows another. */
  readonly family: string;
  readonly kind?: InventoryDevice["kind"];
  /** The operator's own entry: lets in a card of a class that is refused otherwise. */
  readonly listed?: true;
}

/**
 * Cards by `vendor:device`, before that by `vendor:device:subsystem vendor:subsystem device`, and
 * first of all by PCI address.
 */
export type CardTable = Readonly<Record<string, KnownCard>>;

const intel = (product: string): KnownCard => ({ vendor: "intel", product, family: "dfl" });
const alveo = (product: string): KnownCard => ({ vendor: "xilinx", product, family: "xrt" });
const silicom = (product: string): KnownCard => ({ vendor: "silicom", product, family: "dfl" });

/**
 * PF ids of cards whose drivers say no more (host.md §1.7): dfl-pci's and opae.cfg's tables, XRT's
 * management functions, pci.ids. Evidence in sysfs goes before this table.
 */
export const knownCards: CardTable = {
  "8086:09c4": intel("pac-a10-gx"),
  "8086:0b2b": intel("pac-d5005"),
  "8086:0b30": intel("pac-n3000"),
  "8086:0b31": intel("pac-n3000"),
  "8086:bcbd": intel("integrated-5"),
  "8086:bcc0": intel("integrated-6"),
  "8086:bcce": intel("ofs"),
  "8086:bcce:8086:138d": intel("ofs-d5005"),
  "8086:bcce:8086:1770": intel("ofs-n6000"),
  "8086:bcce:8086:1771": intel("ofs-n6001"),
  "8086:bcce:8086:17d4": intel("ofs-c6100"),
  "8086:af00": intel("ofs"),
  "1c2c:1000": silicom("n5010"),
  "1c2c:1001": silicom("n5011"),
  "1c2c:1002": silicom("n5013"),
  "1c2c:1003": silicom("n5014"),
  "1ded:8103": { vendor: "alibaba", product: "f5", family: "dfl" },
  "10ee:5000": alveo("alveo-u200"),
  "10ee:5004": alveo("alveo-u250"),
  "10ee:500c": alveo("alveo-u280"),
  "10ee:5020": alveo("alveo-u50"),
  "10ee:505c": alveo("alveo-u55c"),
  "10ee:506c": alveo("alveo-u50c"),
  "10ee:5050": alveo("alveo-u25"),
  "10ee:503c": alveo("alveo-u30"),
  "10ee:513c": alveo("alveo-u30"),
  "10ee:504e": alveo("alveo-u26z"),
  "10ee:6987": alveo("alveo-u2"),
  "10ee:5044": alveo("vck5000"),
  "10ee:5048": alveo("vck5000"),
  "10ee:5078": alveo("alveo-v65"),
  "10ee:5094": alveo("alveo-v70"),
  "10ee:50b0": alveo("alveo-v70"),
  "10ee:50b4": alveo("alveo-v80"),
  "10ee:5074": alveo("alveo-x3522"),
  "10ee:5098": alveo("alveo-ul3524"),
  "10ee:6098": alveo("vck190"),
  "1d0f:1041": { vendor: "aws", product: "f1", family: "aws-fpga" },
  "1d0f:9248": { vendor: "aws", product: "f2", family: "aws-fpga" },
  "1bd4:a115": { vendor: "inspur", product: "f10a", family: "pci" },
};

/**
 * Factory images of AMD's cards (host.md §1.7): nothing can be loaded before somebody flashes a
 * shell, so such a card is a problem to tell and never a device.
 */
export const factoryImages: Readonly<Record<string, string>> = {
  "10ee:d000": "alveo-u200",
  "10ee:d004": "alveo-u250",
  "10ee:d00c": "alveo-u280",
  "10ee:d020": "alveo-u50",
  "10ee:d03c": "alveo-u30",
  "10ee:d04c": "alveo-u25",
};
