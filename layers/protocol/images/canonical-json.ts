/**
 * The one text of a flat object, after RFC 8785 (JCS): members sorted by the UTF-16 code units of
 * their names, no white space, strings escaped as JSON.stringify does. Members that are undefined
 * are left out. Values are strings and safe integers only, because those are the values on whose text
 * every JSON writer agrees. Throws TypeError for any other number and for a lone surrogate.
 */
export function canonicalJson(value: object): string {
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${scalar(name)}:${scalar(member)}`);
  return `{${members.join(",")}}`;
}

function scalar(value: unknown): string {
  const fits =
    typeof value === "string" ? value.isWellFormed() : typeof value === "number" && isExact(value);
  if (!fits) throw new TypeError("canonical JSON holds strings and whole numbers only");
  return JSON.stringify(value);
}

/** -0 is excluded: it prints as 0. */
function isExact(value: number): boolean {
  return Number.isSafeInteger(value) && !Object.is(value, -0);
}
