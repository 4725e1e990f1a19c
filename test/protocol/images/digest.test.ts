import { Buffer } from "node:buffer";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { imageDigest, maxImageBytes } from "#protocol/images/digest";
import { headBytesNeeded } from "#protocol/images/header";
import { expectFault } from "./handmade.ts";

function digestOf(chunks: readonly Uint8Array[]) {
  const digest = imageDigest();
  for (const chunk of chunks) digest.update(chunk);
  return digest.final();
}

describe("an image's digest", () => {
  test("is the published one of known bytes", () => {
    expect(digestOf([Buffer.from("a"), Buffer.from("bc")])).toEqual({
      md5: "900150983cd24fb0d6963f7d28e17f72",
      sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      size: 3,
      head: Buffer.from("abc"),
    });
    expect(digestOf([])).toEqual({
      md5: "d41d8cd98f00b204e9800998ecf8427e",
      sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      size: 0,
      head: Buffer.alloc(0),
    });
  });

  test("does not depend on how the bytes arrive", () => {
    const file = Buffer.alloc(headBytesNeeded + 3000, "gatehouse");
    const cuts = fc.array(fc.nat(file.length), { maxLength: 6 });
    fc.assert(
      fc.property(cuts, (at) => {
        const edges = [0, ...at.toSorted((a, b) => a - b), file.length];
        const chunks = edges.slice(1).map((end, index) => file.subarray(edges[index], end));
        expect(digestOf(chunks)).toEqual(digestOf([file]));
      }),
      { numRuns: 30 },
    );
    expect(digestOf([file]).head).toEqual(file.subarray(0, headBytesNeeded));
  });

  test("shows the head before the end and keeps it when the caller reuses the chunk", () => {
    const digest = imageDigest();
    const chunk = Buffer.from("first");
    digest.update(chunk);
    chunk.fill(0);
    expect(Buffer.from(digest.head()).toString()).toBe("first");
  });

  test("takes an image of exactly the cap and refuses one byte more at once", () => {
    const exact = imageDigest(10);
    exact.update(Buffer.alloc(10));
    expect(exact.final().size).toBe(10);
    const over = imageDigest(10);
    over.update(Buffer.alloc(10));
    expectFault(() => over.update(Buffer.alloc(1)), "IMAGE_TOO_LARGE", "size");
  });

  test("stays refused after the cap was passed", () => {
    const digest = imageDigest(4);
    expectFault(() => digest.update(Buffer.alloc(5)), "IMAGE_TOO_LARGE");
    expectFault(() => digest.update(Buffer.alloc(0)), "IMAGE_TOO_LARGE");
    expectFault(() => digest.final(), "IMAGE_TOO_LARGE");
  });

  test("has a cap of 256 MiB", () => {
    expect(maxImageBytes).toBe(268_435_456);
  });
});
