/**
 * Text from outside as it may go to a terminal: nothing that moves the cursor, hides or reverses.
 * Line breaks count as control characters too.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "\ufffd");
}

/** `printable` for text of several lines. Tabs stay. */
export function printableLines(text: string): string {
  return text
    .split(/\r?\n/)
    .map((line) => line.split("\t").map(printable).join("\t"))
    .join("\n");
}

/** Drops members that are undefined, so that they are absent in JSON and in exact optional types. */
export function present<Members extends Record<string, unknown>>(
  members: Members,
): { [Name in keyof Members]?: Exclude<Members[Name], undefined> } {
  const kept = Object.entries(members).filter(([, value]) => value !== undefined);
  return Object.fromEntries(kept) as {
    [Name in keyof Members]?: Exclude<Members[Name], undefined>;
  };
}
