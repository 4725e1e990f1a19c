import { Fault } from "#domain/faults";
import type { AfiSlot } from "./afi-slots.ts";
import type { PrPort } from "./pr-port.ts";

/** The vendors' programs that may be run; none of them ever with a verb that writes flash. */
export const toolNames = [
  "fpgaconf",
  "xbmgmt",
  "xbutil",
  "fpga-load-local-image",
  "fpga-clear-local-image",
  "fpga-describe-local-image-slots",
  "fpga-describe-local-image",
] as const;
export type ToolName = (typeof toolNames)[number];

/**
 * What vendors' tools do for drivers: a closed list, no command lines (host.md §6.1). Each rejects
 * with INVALID_REQUEST for an argument that is none, with PROGRAM_FAILED when the tool is missing,
 * with EBUSY while another process works on the same card and with ETIMEDOUT when one that took too
 * long could be ended. One that cannot be ended never returns; callers have the deadline.
 */
export interface Tools {
  /** True when the program is installed. */
  has(tool: ToolName): Promise<boolean>;
  /**
   * `fpgaconf`: programs the card's port 0, the only one it can (host.md §2.2). `file` is a whole
   * GBS. Throws IMAGE_HEADER_INVALID, CARD_DEGRADED, IMAGE_INCOMPATIBLE, PROGRAM_FAILED.
   */
  configure(address: string, file: Buffer): Promise<void>;
  /** `xbmgmt program --user` on the management function. Throws PROGRAM_FAILED. */
  programUser(management: string, file: Buffer): Promise<void>;
  /** `xbutil reset` on the user function. Throws CARD_DEGRADED. */
  resetUser(user: string): Promise<void>;
  /**
   * The FPGA of this AWS instance whose PF0 is at an address; undefined when no slot is there.
   * Throws CARD_DEGRADED for an answer that makes no sense.
   */
  describeAfi(address: string): Promise<AfiSlot | undefined>;
  /**
   * Loads an AFI, `agfi-` and 17 hex digits, into a slot 0 to 7. Throws IN_USE, IMAGE_INCOMPATIBLE,
   * READ_BACK_MISMATCH, PROGRAM_TIMEOUT, PROGRAM_FAILED, and CARD_DEGRADED with the cure.
   */
  loadAfi(slot: number, agfi: string): Promise<void>;
  /** Unloads it, which wipes the FPGA's memory too. Throws as {@link loadAfi}. */
  clearAfi(slot: number): Promise<void>;
}

/** The part of {@link PrPort} that xbmgmt does. */
export function programUserBy(tools: Tools): PrPort["programUser"] {
  return async (management, { bytes, file }, progress) => {
    await tools.programUser(management, file ?? bytes);
    progress(100);
  };
}

/** A host without any vendor's tool. */
export const noTools: Tools = {
  has: async () => false,
  configure: () => missing("fpgaconf"),
  programUser: () => missing("xbmgmt"),
  resetUser: () => missing("xbutil"),
  describeAfi: () => missing("fpga-describe-local-image-slots"),
  loadAfi: () => missing("fpga-load-local-image"),
  clearAfi: () => missing("fpga-clear-local-image"),
};

/** PROGRAM_FAILED: the tool is not there. */
export async function missing(tool: ToolName): Promise<never> {
  throw new Fault("PROGRAM_FAILED", `${tool} is not installed on this host`, { tool });
}
