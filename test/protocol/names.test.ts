import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { canonicalDigest, canonicalJson } from "#protocol/canonical";
import { deployableId, deviceId, isUuid } from "#protocol/uuid";

const host = "11111111-1111-4111-8111-111111111111";

test("ids are those that any uuid5 implementation makes of the same names", () => {
  // python3: uuid5(uuid5(NAMESPACE_DNS, "gatehouse"), "deployable\n<host>\nslot-1\ncard")
  expect(deployableId(host, "slot-1", "card")).toBe("bfedce29-d4ea-5d3d-9000-0d9f7dd68dca");
  expect(deviceId(host, "slot-1")).toBe("6ca4bd3d-859b-5015-bfc9-2e5b75609da7");
});

test("ids of different cards, regions and hosts differ", () => {
  const ids = [
    deployableId(host, "slot-1", "card"),
    deployableId(host, "slot-1", "port0"),
    deployableId(host, "slot-2", "card"),
    deployableId(host.replace("1", "2"), "slot-1", "card"),
  ];
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.every(isUuid)).toBe(true);
});

test("canonical JSON sorts members at every depth and leaves absent ones out", () => {
  const value = { b: [{ d: 1, c: "x" }], a: null, z: undefined, A: true };
  expect(canonicalJson(value)).toBe('{"A":true,"a":null,"b":[{"c":"x","d":1}]}');
  expect(canonicalDigest({ b: 1, a: 2 })).toBe(
    createHash("sha256").update('{"a":2,"b":1}').digest("hex"),
  );
});

test("a number without one text has no canonical form", () => {
  for (const value of [0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60]) {
    expect(() => canonicalJson({ value })).toThrow(TypeError);
  }
});
