import { expect, test } from "vitest";
import { benchmarks } from "../bench/benchmarks.ts";
import { pageOf, type Section } from "../bench/page.ts";
import { pageText } from "./pages.ts";

const page = pageText("docs/performance.md");
const sectionsOf = (text: string) => text.split(/^(?=## )/m).slice(1);
const nameOf = (section: string) => /^## (.*)$/m.exec(section)?.[1];

/** Rows of figures: name, value with unit, budget, kept or missed, note. */
const figuresOf = (section: string) =>
  section
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .slice(2)
    .map((line) =>
      line
        .slice(2, -2)
        .split(" | ")
        .map((cell) => cell.trim()),
    );

test("docs/performance.md has a section of every benchmark, in their order", () => {
  expect(sectionsOf(page).map(nameOf)).toEqual(benchmarks.map(({ name }) => name));
});

test.each(sectionsOf(page).map((section) => [nameOf(section), section]))(
  "the figures of %s say what they were measured on",
  (_, section = "") => {
    expect(section).toMatch(
      /^Measured on \d+ × .+, \d+ GiB, Node v\d+\.\d+\.\d+, \d{4}-\d\d-\d\dT[\d:.]+Z, commit \w+, (?:short|long) run, load [\d.]+ before it\.$/m,
    );
    expect(figuresOf(section).length).toBeGreaterThan(0);
  },
);

test("every figure with a budget says truly whether it keeps it", () => {
  const judged = sectionsOf(page)
    .flatMap(figuresOf)
    .filter(([, , budget]) => budget !== "");
  const wrong = judged.filter(([, value = "", budget = "", kept]) => {
    const [measured, wanted] = [Number.parseFloat(value), Number.parseFloat(budget.slice(2))];
    const isKept = budget.startsWith("≤") ? measured <= wanted : measured >= wanted;
    return kept !== (isKept ? "kept" : "missed");
  });
  expect(judged.length).toBeGreaterThan(10);
  expect(wrong).toEqual([]);
});

const section = (name: string, value: number): Section => ({
  name,
  about: "About.",
  measuredOn: "a machine",
  figures: [
    { name: "rate", value, unit: "/s", budget: { atLeast: 10 }, note: "a | b" },
    { name: "plain", value, unit: "ms" },
  ],
});

test("a run of one benchmark replaces its section and leaves the others", () => {
  const names = ["one", "two"];
  const both = pageOf("", [section("two", 5), section("one", 20)], names);
  expect(sectionsOf(both).map(nameOf)).toEqual(names);
  expect(both).toMatch(/\| rate +\| 20\.0 \/s \| ≥ 10 \/s \| kept +\| a \/ b \|/);
  expect(both).toMatch(/\| rate +\| 5\.00 \/s \| ≥ 10 \/s \| missed \| a \/ b \|/);
  const later = pageOf(both, [section("two", 30)], names);
  expect(sectionsOf(later)[0]).toBe(sectionsOf(both)[0]);
  expect(sectionsOf(later)[1]).toContain("30.0 /s");
  expect(pageOf(later, [], names)).toBe(later);
});
