import { expect, test } from "vitest";
import { faultKinds } from "../sim/faults.ts";
import { invariants } from "../sim/judge/invariants.ts";
import { plants } from "../sim/plants.ts";
import { pageText } from "./pages.ts";

const page = pageText("docs/proof.md");
const cells = page.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
const rowOf = (name: string) => cells.find((row) => row[1] === `\`${name}\``)?.slice(2, -1);

test.each(Object.entries(invariants))("docs/proof.md says what %s is", (name, what) => {
  expect(rowOf(name)).toEqual([what]);
});

test.each(Object.entries(plants))("docs/proof.md says what %s plants", (name, { what, breaks }) => {
  expect(rowOf(name)).toEqual([what, breaks.map((one) => `\`${one}\``).join(", ")]);
});

test("docs/proof.md names every kind of fault", () => {
  expect(faultKinds.filter((kind) => !page.includes(`\`${kind}\``))).toEqual([]);
});
