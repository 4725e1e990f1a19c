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
}

/**
 * The slot whose PF0 is at `address`, from the lines `AFIDEVICE 0 0x1d0f 0xf000 0000:00:1e.0` of
 * `fpga-describe-local-image-slots`; undefined when there is none. Throws CARD_DEGRADED for lines
 * that make no sense, because nothing may be loaded by guesswork.
 */
export function slotAt(text: string, address: string): number | undefined {
  let found: number | undefined;
  for (const [slot = "", , , at = ""] of linesOf(text, "AFIDEVICE")) {
    if (!/^[0-7]$/.test(slot) || !isPciAddress(at)) throw garbled();
    if (at === address) found = Number(slot);
  }
  return found;
}

/**
 * What `fpga-describe-local-image` says of one slot: `AFI 0 agfi-… loaded 0 ok 0 0x04261818`, with
 * `No AFI` or `none` in place of the id. Throws as {@link slotAt}.
 */
export function afiSlot(text: string, slot: number): AfiSlot {
  const lines = linesOf(text, "AFI");
  const [words = []] = lines;
  if (words[0] !== String(slot) || lines.length > 1) throw garbled();
  const { id, rest } = imageId(words.slice(1));
  const [, status = "", errorName = "", error = ""] = rest;
  const base = { slot, status: numberOf(status), error: numberOf(error), errorName };
  return id === undefined ? base : { ...base, agfi: id };
}

/** The id at the start of some words, undefined for none, and the words behind it. */
function imageId(words: readonly string[]): { id?: string; rest: readonly string[] } {
  const [first = "", second] = words;
  if (first === "No" && second === "AFI") return { rest: words.slice(2) };
  if (first === "none") return { rest: words.slice(1) };
  if (!isAgfi(first)) throw garbled();
  return { id: first, rest: words.slice(1) };
}

function numberOf(text: string): number {
  if (!/^\d{1,3}$/.test(text)) throw garbled();
  return Number(text);
}

/** The words of each line of one kind; headers and other kinds are left out. */
function linesOf(text: string, kind: string): readonly (readonly string[])[] {
  const lines = text.split("\n").map((line) => line.trim().split(/\s+/));
  return lines.filter(([first]) => first === kind).map((words) => words.slice(1));
}

function garbled(): Fault {
  return new Fault("CARD_DEGRADED", "The AFI tool's answer cannot be read");
}
