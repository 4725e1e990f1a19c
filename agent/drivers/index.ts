import { awsFpga } from "./aws-fpga.ts";
import type { CardFamily } from "./card-family.ts";
import { dfl } from "./dfl.ts";
import { fpgaManager } from "./fpga-manager.ts";
import { opae } from "./opae.ts";
import { pci } from "./pci.ts";
import { xrt } from "./xrt.ts";

/** Every driver of real cards; a card belongs to the first that recognises it. */
export const families: readonly CardFamily[] = [opae, dfl, xrt, awsFpga, fpgaManager, pci];
