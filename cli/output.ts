import type { Output } from "./command.ts";
import { renderFields } from "./fields.ts";
import { type Column, renderTable } from "./table.ts";

/** One object, with its id. */
export function objectOutput(view: object, id: string): Output {
  return { json: view, ids: [id], human: (columns) => renderFields(view, columns) };
}

/** A text for people beside the JSON, such as a ready-made file. */
export function textOutput(text: string, json: unknown, ids: readonly string[]): Output {
  return { json, ids, human: () => text };
}

/** Rows of one kind; `json` is what the API answered. */
export function tableOutput<Row>(
  rows: readonly Row[],
  view: {
    readonly json: unknown;
    readonly id: (row: Row) => string;
    readonly columns: readonly Column<Row>[];
    readonly noun: string;
  },
): Output {
  return {
    json: view.json,
    ids: rows.map(view.id),
    human: (columns) =>
      rows.length === 0 ? `no ${view.noun}` : renderTable(view.columns, rows, columns),
  };
}
