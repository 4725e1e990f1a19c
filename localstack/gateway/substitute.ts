/** What references stand for: `Table` → the table's name, `Table.Arn` → its ARN, `AWS::Region` → …. */
export type References = Readonly<Record<string, string>>;

function look(name: string, references: References): string {
  const value = references[name];
  if (value === undefined) throw new Error(`nothing is known under the reference ${name}`);
  return value;
}

/**
 * Replaces `{Ref}`, `{Fn::GetAtt}` and `{Fn::Sub}` everywhere in a value, as CloudFormation would.
 * Throws on a name that is not in `references`.
 */
export function substitute(value: unknown, references: References): unknown {
  if (Array.isArray(value)) return value.map((item) => substitute(item, references));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  const [first] = entries;
  if (entries.length === 1 && first !== undefined) {
    const [kind, argument] = first;
    if (kind === "Ref") return look(String(argument), references);
    if (kind === "Fn::GetAtt") return look((argument as string[]).join("."), references);
    if (kind === "Fn::Sub")
      return String(argument).replace(/\$\{([^}]+)\}/g, (_all, name: string) =>
        look(name, references),
      );
  }
  return Object.fromEntries(entries.map(([key, item]) => [key, substitute(item, references)]));
}
