import { budgetOf, type Figure, isMissed, rounded } from "./figure.ts";

/** What one benchmark measured, where and when. */
export interface Section {
  readonly name: string;
  readonly about: string;
  /** One line: machine, versions, time. */
  readonly measuredOn: string;
  readonly figures: readonly Figure[];
}

const intro = `# Performance

Made by \`npm run bench -- --markdown docs/performance.md\`: every figure beside its budget of the design. A run of some benchmarks (\`--only\`) replaces their sections and leaves the others, so each says what it was measured on. Times are of the offline cloud, where everything runs on one machine; a ratio says more about another machine than a time does. [Scale](scale.md) has what follows from them.
`;

/** A table with padded cells, as the formatter wants it. */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const columns = rows[0]?.map((_, column) => column) ?? [];
  const widths = columns.map((column) =>
    Math.max(3, ...rows.map((row) => [...new Intl.Segmenter().segment(row[column] ?? "")].length)),
  );
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const ruler = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  const [head = [], ...body] = rows;
  return [line(head), ruler, ...body.map(line)].join("\n");
}

function rowOf(figure: Figure): readonly string[] {
  const kept = isMissed(figure) ? "missed" : "kept";
  return [
    figure.name,
    `${rounded(figure.value)} ${figure.unit}`,
    budgetOf(figure),
    figure.budget === undefined ? "" : kept,
    (figure.note ?? "").replaceAll("|", "/"),
  ];
}

function textOf({ name, about, measuredOn, figures }: Section): string {
  const head = ["figure", "value", "budget", "", "note"];
  const rows = markdownTable([head, ...figures.map(rowOf)]);
  return `## ${name}\n\n${about}\n\nMeasured on ${measuredOn}.\n\n${rows}\n`;
}

/**
 * The page with these sections in it, those of a page before that are not measured anew as they were,
 * in the order of `names`.
 */
export function pageOf(
  before: string,
  sections: readonly Section[],
  names: readonly string[],
): string {
  const known = new Map(
    before
      .split(/^(?=## )/m)
      .slice(1)
      .map((text) => [/^## (.*)$/m.exec(text)?.[1] ?? "", `${text.trimEnd()}\n`]),
  );
  for (const section of sections) known.set(section.name, textOf(section));
  return [intro, ...names.flatMap((name) => known.get(name) ?? [])].join("\n");
}
