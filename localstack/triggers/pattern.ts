/** An event on the bus. Only its JSON matters here. */
export type BusEvent = Readonly<Record<string, unknown>>;

/** True when an event matches the pattern it was compiled from. */
export type Matcher = (event: unknown) => boolean;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const startsWith = (prefix: unknown): Matcher => {
  if (typeof prefix !== "string") throw new Error("prefix takes a string");
  return (value) => typeof value === "string" && value.startsWith(prefix);
};

const endsWith = (suffix: unknown): Matcher => {
  if (typeof suffix !== "string") throw new Error("suffix takes a string");
  return (value) => typeof value === "string" && value.endsWith(suffix);
};

function anythingBut(excluded: unknown): Matcher {
  if (isRecord(excluded)) {
    const inner = compileTest(excluded);
    return (value) => value !== undefined && !inner(value);
  }
  const values: readonly unknown[] = Array.isArray(excluded) ? excluded : [excluded];
  return (value) => value !== undefined && !values.includes(value);
}

function compileTest(test: unknown): Matcher {
  if (!isRecord(test)) return (value) => value === test;
  const [[kind, argument] = [], ...others] = Object.entries(test);
  if (others.length > 0) throw new Error(`a test has one operator, not ${JSON.stringify(test)}`);
  switch (kind) {
    case "prefix":
      return startsWith(argument);
    case "suffix":
      return endsWith(argument);
    case "anything-but":
      return anythingBut(argument);
    case "exists":
      return (value) => (value !== undefined) === argument;
    case undefined:
    default:
      throw new Error(`event pattern operator ${String(kind)} is not served here`);
  }
}

function compileTests(tests: readonly unknown[]): Matcher {
  const compiled = tests.map(compileTest);
  return (value) => {
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    return compiled.some((test) => values.some(test));
  };
}

/**
 * Compiles an EventBridge pattern: nested objects, lists of literals, `prefix`, `suffix`,
 * `anything-but` (values, prefix, suffix) and `exists`. Throws on any other operator, so that a
 * pattern never matches more or less offline than deployed.
 */
export function compilePattern(pattern: unknown): Matcher {
  if (!isRecord(pattern)) throw new Error("an event pattern is an object");
  const fields = Object.entries(pattern).map(([name, inner]) => {
    const matcher = Array.isArray(inner) ? compileTests(inner) : compilePattern(inner);
    return { name, matcher };
  });
  return (event) => {
    const source = isRecord(event) ? event : {};
    return fields.every(({ name, matcher }) => matcher(source[name]));
  };
}
