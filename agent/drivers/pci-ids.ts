/** How a card is handled, whatever its maker calls it. */
export type CardFamilyName = "dfl" | "alveo" | "sriov";

/** What is known of a card by its PCI ids alone. */
export interface KnownCard {
  readonly vendor: string;
  readonly product: string;
  readonly family: CardFamilyName;
}

const intel = (product: string): KnownCard => ({ vendor: "intel", product, family: "dfl" });
const alveo = (product: string): KnownCard => ({ vendor: "xilinx", product, family: "alveo" });

/** PF ids, `vendor:device` (host.md §1.7); evidence in sysfs goes before this table. */
export const knownCards: Readonly<Record<string, KnownCard>> = {
  "8086:09c4": intel("pac-a10-gx"),
  "8086:0b2b": intel("pac-d5005"),
  "8086:0b30": intel("pac-n3000"),
  "8086:bcce": intel("ofs"),
  "10ee:5000": alveo("alveo-u200"),
  "10ee:5004": alveo("alveo-u250"),
  "10ee:500c": alveo("alveo-u280"),
  "10ee:5020": alveo("alveo-u50"),
  "10ee:505c": alveo("alveo-u55c"),
  "1bd4:a115": { vendor: "inspur", product: "f10a", family: "sriov" },
};
