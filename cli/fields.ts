import { renderTable } from "./table.ts";
import { printable, printableLines } from "./text.ts";

/** Members that only programs read: named, not printed. */
const opaque: ReadonlySet<string> = new Set(["permit"]);

/**
 * One object for people: `name  value` lines, inner objects dotted, then lists of objects as tables
 * and texts of several lines as blocks.
 */
export function renderFields(object: object, columns?: number): string {
  const lines: [string, string][] = [];
  const blocks: string[] = [];
  collect(object, "", { lines, blocks, columns });
  const width = Math.max(0, ...lines.map(([name]) => name.length));
  const plain = lines.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
  return [plain.join("\n"), ...blocks].filter((part) => part !== "").join("\n\n");
}

interface Collected {
  readonly lines: [string, string][];
  readonly blocks: string[];
  readonly columns: number | undefined;
}

function collect(object: object, prefix: string, into: Collected): void {
  for (const [key, value] of Object.entries(object) as [string, unknown][]) {
    const name = printable(`${prefix}${key}`);
    if (opaque.has(key)) into.lines.push([name, "present (see --json)"]);
    else if (isObjectList(value)) into.blocks.push(section(name, value, into.columns));
    else if (isObject(value)) collect(value, `${name}.`, into);
    else if (typeof value === "string" && value.includes("\n")) {
      into.blocks.push(`${name}:\n${printableLines(value.trimEnd())}`);
    } else if (value !== undefined) into.lines.push([name, plainText(value)]);
  }
}

function section(name: string, rows: readonly object[], columns: number | undefined): string {
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const table = renderTable(
    keys.map((key, index) => ({
      title: key.toUpperCase(),
      of: (row: object) => plainText(Object.entries(row).find(([one]) => one === key)?.[1]),
      flex: true as const,
      ...(index > 0 ? { extra: true as const } : {}),
    })),
    rows,
    columns,
  );
  return `${name}:\n${table}`;
}

function plainText(value: unknown): string {
  if (value === undefined || value === null || value === "") return "-";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.length === 0 ? "-" : value.map(plainText).join(", ");
  return printable(typeof value === "string" ? value : JSON.stringify(value));
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isObjectList(value: unknown): value is readonly object[] {
  return Array.isArray(value) && value.length > 0 && value.every(isObject);
}
