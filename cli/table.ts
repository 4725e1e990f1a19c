import { printable } from "./text.ts";

type Cell = string | number | boolean | null | undefined;

/** A column. `flex` may be cut with an ellipsis, `extra` may be left out on a narrow terminal. */
export interface Column<Row> {
  readonly title: string;
  readonly of: (row: Row) => Cell;
  readonly flex?: true;
  readonly extra?: true;
}

interface Measured {
  readonly cells: readonly string[];
  readonly numeric: boolean;
  readonly flex: boolean;
  readonly extra: boolean;
  readonly width: number;
}

const gap = "  ";
/** Narrower than this a cut text says nothing. */
const narrowest = 12;

/**
 * Lines of aligned columns under their titles. With `columns` (characters) the table is made to fit:
 * extra columns go, then flexible ones are cut. Ids are never cut: a part of one is of no use.
 */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  available?: number,
): string {
  const measured = columns.map((column) => measure(column, rows));
  const fitted = available === undefined ? measured : fit(measured, available);
  const lines = Array.from({ length: rows.length + 1 }, (_, index) =>
    fitted
      .map((column) => aligned(column, index))
      .join(gap)
      .trimEnd(),
  );
  return lines.join("\n");
}

function measure<Row>(column: Column<Row>, rows: readonly Row[]): Measured {
  const values = rows.map((row) => column.of(row));
  const cells = [column.title, ...values.map(show)];
  return {
    cells,
    numeric: values.length > 0 && values.every((value) => typeof value === "number"),
    flex: column.flex ?? false,
    extra: column.extra ?? false,
    width: Math.max(...cells.map(length)),
  };
}

function fit(columns: readonly Measured[], available: number): readonly Measured[] {
  let kept = columns;
  const least = (column: Measured) =>
    column.flex ? Math.min(column.width, narrowest) : column.width;
  while (total(kept.map(least)) > available && kept.some((column) => column.extra)) {
    const last = kept.findLastIndex((column) => column.extra);
    kept = kept.filter((_, index) => index !== last);
  }
  let excess = total(kept.map((column) => column.width)) - available;
  const widths = kept.map((column) => column.width);
  while (excess > 0) {
    const widest = widestFlexible(kept, widths);
    if (widest === undefined) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess -= 1;
  }
  return kept.map((column, index) => ({ ...column, width: widths[index] ?? column.width }));
}

function widestFlexible(
  columns: readonly Measured[],
  widths: readonly number[],
): number | undefined {
  return columns
    .map((column, index) => ({ index, width: widths[index] ?? 0, flex: column.flex }))
    .filter(({ flex, width }) => flex && width > narrowest)
    .toSorted((a, b) => b.width - a.width)[0]?.index;
}

function total(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, 0) + gap.length * (widths.length - 1);
}

function aligned(column: Measured, index: number): string {
  const text = cut(column.cells[index] ?? "", column.width);
  const padding = " ".repeat(Math.max(0, column.width - length(text)));
  return column.numeric ? padding + text : text + padding;
}

function cut(text: string, width: number): string {
  const characters = Array.from(text);
  return characters.length <= width ? text : `${characters.slice(0, width - 1).join("")}…`;
}

function show(value: Cell): string {
  if (value === undefined || value === null || value === "") return "-";
  if (typeof value === "boolean") return value ? "yes" : "no";
  return printable(String(value));
}

function length(text: string): number {
  return Array.from(text).length;
}
