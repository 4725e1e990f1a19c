import { refusal } from "./errors.ts";

/** Fields that `filters[n].field` may name (cyborg.md §1.4). */
export const filterFields = [
  "limit",
  "sort_dir",
  "instance_uuid",
  "parent_uuid",
  "interface_type",
  "availability",
  "marker",
  "sort_key",
  "name",
  "root_uuid",
  "board",
] as const;
export type FilterField = (typeof filterFields)[number];

const filterName = /^filters\[(\d{1,3})\]\.(field|value)$/;

/** 400 for an argument that the path does not know; `filters` stands for its whole family. */
export function checkArguments(query: URLSearchParams, known: readonly string[]): void {
  const unknown = [...query.keys()].find(
    (name) => !known.includes(name) && !(known.includes("filters") && filterName.test(name)),
  );
  if (unknown !== undefined) throw refusal(400, `Unknown argument: "${unknown}"`);
}

/** `filters[0].field=F&filters[0].value=V` as pairs; 400 for a field that is none. */
export function filtersOf(query: URLSearchParams): ReadonlyMap<FilterField, string> {
  const fields = new Map<string, { field?: string; value?: string }>();
  for (const [name, text] of query) {
    const [, index = "", member] = filterName.exec(name) ?? [];
    if (member === undefined) continue;
    fields.set(index, { ...fields.get(index), [member]: text });
  }
  return new Map(
    [...fields.values()].map(({ field = "", value = "" }) => [fieldOf(field), value] as const),
  );
}

function fieldOf(name: string): FilterField {
  const field = filterFields.find((one) => one === name);
  if (field !== undefined) return field;
  throw refusal(
    400,
    `Invalid input for field/attribute field. Value: '${name}'. Value should be one of: ${filterFields.join(", ")}`,
  );
}

/** Values of a comma list, blanks left out. */
export function listArgument(text: string): readonly string[] {
  return text
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "");
}
