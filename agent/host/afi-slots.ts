import { Fault } from "#domain/faults";
import { isAgfi } from "#protocol/images/afi";
import { isPciAddress } from "./pci.ts";

/** One FPGA of an AWS instance as its tools tell (host.md §1.6). */
export interface AfiSlot {
  /** 0 to 7. */
  readonly slot: number;
  /** `agfi-…`, absent when none is loaded. */
  readonly agfi?: string;
  /** 0 loaded, 1 cleared, 2 busy, 3 not programmed, 7 load failed and so on. */
  readonly status: number;
  /** Of the last load; 0 is none. */
  readonly error: number;
  readonly errorName: string;
  /** PF0's address; absent when PF0 is missing. */
  readonly address?: string;
}

type Image = Pick<AfiSlot, "agfi" | "status" | "error" | "errorName">;

/** The slots that `fpga-describe-local-image-slots` names. Throws as {@link parseAfiSlots}. */
export function slotNumbers(text: string): readonly number[] {
  const slots = linesOf(text).map(([, slot]) => slotOf(slot));
  return [...new Set(slots)].sort((a, b) => a - b);
}

/**
 * Reads the tables of `fpga-describe-local-image-slots` and `fpga-describe-local-image`, one after
 * the other; later lines win, headers are left out. Throws CARD_DEGRADED for what makes no sense,
 * because nothing may be loaded by guesswork.
 */
export function parseAfiSlots(text: string): readonly AfiSlot[] {
  const addresses = new Map<number, string>();
  const images = new Map<number, Image>();
  for (const [kind, number, ...rest] of linesOf(text)) {
    const slot = slotOf(number);
    if (kind === "AFI") images.set(slot, imageOf(rest));
    else addresses.set(slot, addressOf(rest));
  }
  return slotNumbers(text).map((slot) => {
    const image = images.get(slot);
    const address = addresses.get(slot);
    if (!image) throw garbled();
    return { slot, ...image, ...(address !== undefined && { address }) };
  });
}

function linesOf(text: string): readonly (readonly string[])[] {
  return text
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([kind]) => kind === "AFI" || kind === "AFIDEVICE");
}

/** `agfi-… loaded 0 ok 0 0x04261818`, with `No AFI` or `none` in place of the id. */
function imageOf(words: readonly string[]): Image {
  const start = words[0] === "No" && words[1] === "AFI" ? 2 : 1;
  const [, status = "", errorName = "", error = ""] = words.slice(start);
  if (!/^\d{1,3}$/.test(status) || !/^\d{1,3}$/.test(error)) throw garbled();
  const base = { status: Number(status), error: Number(error), errorName };
  const [id = ""] = words;
  if (start === 2 || id === "none") return base;
  if (!isAgfi(id)) throw garbled();
  return { ...base, agfi: id };
}

/** `0x1d0f 0xf000 0000:00:1e.0` */
function addressOf([, , address = ""]: readonly string[]): string {
  if (!isPciAddress(address)) throw garbled();
  return address;
}

function slotOf(text = ""): number {
  if (!/^[0-7]$/.test(text)) throw garbled();
  return Number(text);
}

function garbled(): Fault {
  return new Fault("CARD_DEGRADED", "The AFI tool's answer cannot be read");
}
