import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type DeployableMarks, lifted, noMarks } from "../../../agent/memory/marks.ts";

const fences = fc.dictionary(fc.constantFrom("vf0", "vf1", "pf"), fc.nat(9));
const floor = fc.record({ imageGeneration: fc.nat(9), fences });

test("lifting never lowers a counter, and lifting twice changes nothing more", () => {
  fc.assert(
    fc.property(floor, floor, (one, other) => {
      const marks: DeployableMarks = { ...noMarks, ...one };
      const after = lifted(marks, other);
      expect(after.imageGeneration).toBe(Math.max(one.imageGeneration, other.imageGeneration));
      for (const name of [...Object.keys(one.fences), ...Object.keys(other.fences)]) {
        const highest = Math.max(one.fences[name] ?? 0, other.fences[name] ?? 0);
        expect(after.fences[name]).toBe(highest);
      }
      expect(lifted(after, other)).toEqual(after);
    }),
  );
});

test("a chain the cloud knows further is taken over, one it lags behind is kept", () => {
  const chain = { number: 3, digest: "3".repeat(64) };
  const ahead = { number: 5, digest: "5".repeat(64) };
  const marks = { ...noMarks, chain };
  const none = { imageGeneration: 0, fences: {} };
  expect(lifted(marks, { ...none, head: ahead }).chain).toEqual(ahead);
  expect(lifted(marks, { ...none, head: { ...ahead, number: 2 } }).chain).toEqual(chain);
  expect(lifted(marks, none).chain).toEqual(chain);
});
