import { cpus, totalmem } from "node:os";

/** One measured value beside its budget (design.md §12); a figure without budget is for comparison. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly budget?: { readonly atMost: number } | { readonly atLeast: number };
  readonly note?: string;
}

/** A benchmark: `short` fits CI. It throws only when it is broken, not when a budget is missed. */
export interface Benchmark {
  readonly name: string;
  /** A sentence for people: what is measured, and how. */
  readonly about: string;
  readonly run: (short: boolean) => Promise<readonly Figure[]>;
}

/** True when the figure is outside its budget. */
export function isMissed({ value, budget }: Figure): boolean {
  if (budget === undefined) return false;
  return "atMost" in budget ? value > budget.atMost : value < budget.atLeast;
}

/** p50 and p99 of times in milliseconds. */
export function percentiles(times: readonly number[]): {
  readonly p50: number;
  readonly p99: number;
} {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return { p50: at(0.5) ?? 0, p99: at(0.99) ?? 0 };
}

/** Three digits that count. */
export function rounded(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** What the figure should be. */
export function budgetOf({ budget, unit }: Figure): string {
  if (budget === undefined) return "";
  return "atMost" in budget ? `≤ ${budget.atMost} ${unit}` : `≥ ${budget.atLeast} ${unit}`;
}

/** The table that people read. */
export function tableOf(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => [
    figure.name,
    `${rounded(figure.value)} ${figure.unit}`,
    budgetOf(figure),
    figure.budget === undefined ? "" : isMissed(figure) ? "MISSED" : "ok",
    figure.note ?? "",
  ]);
  const widths = [0, 1, 2, 3].map((column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** What the figures were measured on. */
export function machine(): string {
  const [cpu] = cpus();
  const memory = Math.round(totalmem() / 1024 ** 3);
  return `${cpus().length} × ${cpu?.model ?? "cpu"}, ${memory} GiB, Node ${process.version}, ${new Date().toISOString()}`;
}
