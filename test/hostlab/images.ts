import { createHash } from "node:crypto";
import { encodeGbs } from "#protocol/images/encode-gbs";
import { headBytesNeeded, readImageHeader } from "#protocol/images/header";
import type { VerifiedImage } from "../../agent/drivers/driver.ts";

/** The shell of the lab's cards, as guest/dflsim.c writes it. */
export const shell = "69528db6-eb31-577a-9926-ab6d6c925a68";

/** Last words of images, by what the lab's cards make of them (guest/dflsim.c). */
export const words = {
  blank: 0xb1a4_b1a4,
  crcError: 0xdead_beef,
  incompatible: 0xdead_c0de,
  endless: 0xdead_dead,
} as const;

/** An image that goes in for so many hundredths of a second. */
export function slowWord(hundredths: number): number {
  return 0x0510_0000 + hundredths;
}

/** The function that a card of the lab shows after an image with this last word. */
export function functionOf(word: number): string {
  return `aaaa0000-bbbb-0000-f000-0000${word.toString(16).padStart(8, "0")}`;
}

/** A GBS file whose last word is `word`. */
export function gbsOf(word: number, interfaceId: string = shell): Buffer {
  const payload = Buffer.alloc(4096, 7);
  payload.writeUInt32LE(word, payload.length - 4);
  return encodeGbs({ interfaceId, functionId: functionOf(word), name: "lab", payload });
}

/** The same, as the agent's cache hands it out. */
export function verifiedOf(word: number): VerifiedImage {
  const bytes = gbsOf(word);
  const header = readImageHeader(bytes.subarray(0, headBytesNeeded), bytes.length);
  return {
    id: "99999999-9999-4999-8999-999999999999",
    sha256: createHash("sha256").update(bytes).digest("hex"),
    functionId: functionOf(word),
    interfaceId: shell,
    format: "gbs",
    bytes,
    payloadOffset: header.format === "gbs" ? header.payloadOffset : 0,
  };
}
