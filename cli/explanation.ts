import { type ExplanationView, explanation } from "#protocol/http/claims";
import { type Column, renderTable } from "./table.ts";
import { printable } from "./text.ts";

type Verdict = ExplanationView["deployables"][number];

const columns: readonly Column<Verdict>[] = [
  { title: "VERDICT", of: (row) => row.verdict },
  { title: "DEPLOYABLE", of: (row) => row.deployable },
  { title: "HOST", of: (row) => row.hostName, flex: true },
  { title: "CLASS", of: (row) => row.resourceClass, extra: true },
  { title: "STATE", of: (row) => row.state, extra: true },
  { title: "FREE", of: (row) => row.free, extra: true },
  { title: "REASONS", of: (row) => row.reasons.join("; "), flex: true },
];

/** The verdicts as a table with their sum above. */
export function renderExplanation(view: ExplanationView, width?: number): string {
  const summary = printable(view.summary);
  return view.deployables.length === 0
    ? summary
    : `${summary}\n${renderTable(columns, view.deployables, width)}`;
}

/** The explanation among the members of a problem document, whatever its member is called. */
export function findExplanation(facts: object): ExplanationView | undefined {
  for (const candidate of [facts, ...Object.values(facts)] as unknown[]) {
    const parsed = explanation.safeParse(candidate);
    if (parsed.success) return parsed.data;
  }
  return undefined;
}
