/**
 * JSON.parse that also refuses duplicate keys and nesting deeper than `maxDepth`. Two readers of one
 * text may disagree on which of two equal keys counts, so a text with such keys has no safe meaning.
 * The caller caps the length of `text`. Throws SyntaxError.
 */
export function parseStrictJson(text: string, maxDepth: number): unknown {
  const value: unknown = JSON.parse(text);
  checkStructure(text, maxDepth);
  return value;
}

/** `text` is known to be valid JSON here, so strings and brackets are all there is to look at. */
function checkStructure(text: string, maxDepth: number): void {
  const scopes: Set<string>[] = [];
  for (const [token, colon] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g)) {
    if (token === "{" || token === "[") {
      scopes.push(new Set());
      if (scopes.length > maxDepth) throw new SyntaxError(`nested deeper than ${maxDepth}`);
    } else if (token === "}" || token === "]") {
      scopes.pop();
    } else if (colon !== undefined) {
      addKey(scopes.at(-1), token.slice(0, -colon.length));
    }
  }
}

function addKey(scope: Set<string> | undefined, quoted: string): void {
  // Decoded first: "a" and "\u0061" are the same key.
  const key = String(JSON.parse(quoted));
  if (scope?.has(key)) throw new SyntaxError(`duplicate key ${quoted}`);
  scope?.add(key);
}
