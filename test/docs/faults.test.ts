import { expect, test } from "vitest";
import { faults } from "#domain/faults";
import { pageText, tableRows } from "./pages.ts";

/** Rows `| CODE | status | exit | what to do |` of the page. */
function documented(text: string): readonly (readonly [string, number, number, string])[] {
  return tableRows(text).flatMap(([code = "", status = "", exit = "", advice = ""]) => {
    const [, name] = /^`([A-Z_]+)`$/.exec(code) ?? [];
    return name === undefined ? [] : [[name, Number(status), Number(exit), advice] as const];
  });
}

const rows = documented(pageText("docs/faults.md"));

test("docs/faults.md has every code once, with its status and exit class, and no other", () => {
  const known = Object.entries(faults).map(([code, kind]) => `${code} ${kind.status} ${kind.exit}`);
  const said = rows.map(([code, status, exit]) => `${code} ${status} ${exit}`);
  expect(said.toSorted()).toEqual(known.toSorted());
});

test("docs/faults.md says for every code what to do", () => {
  expect(rows.filter(([, , , advice]) => advice.length < 8)).toEqual([]);
});

test("a row is read whether or not its cells are padded", () => {
  const text = "| code | status |\n|---|---|\n| `A_B`   | 404 | 4 | look again |\n|`X`|1|2|no|";
  expect(documented(text)).toEqual([["A_B", 404, 4, "look again"]]);
});
