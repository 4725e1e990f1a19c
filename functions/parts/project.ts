/**
 * A project's name goes into keys of the table and of the bucket, so it has no separators; the bound
 * is that of upload keys (protocol/images/names.ts). `system` is the audit's own scope.
 */
export function isProject(text: string): boolean {
  return /^[A-Za-z0-9][\w.-]{0,63}$/.test(text) && text !== "system";
}
