import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type CollectionTag, parse, type ScalarTag } from "yaml";

/** What `${opt:…}` and `${env:…}` read while serverless.yml is resolved. */
export interface VariableSources {
  readonly options: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

interface Scope extends VariableSources {
  readonly directory: string;
  readonly root: unknown;
}

const shortForms = ["Sub", "GetAtt", "Join", "Select", "Split", "If", "Equals", "ImportValue"];

function longForm(name: string, value: unknown): unknown {
  if (name === "Ref") return { Ref: value };
  if (name === "GetAtt" && typeof value === "string") {
    const dot = value.indexOf(".");
    return { "Fn::GetAtt": [value.slice(0, dot), value.slice(dot + 1)] };
  }
  return { [`Fn::${name}`]: value };
}

function cloudFormationTags(): (ScalarTag | CollectionTag)[] {
  return ["Ref", ...shortForms].flatMap((name): (ScalarTag | CollectionTag)[] => [
    { tag: `!${name}`, resolve: (text: string) => longForm(name, text) },
    { tag: `!${name}`, collection: "seq", resolve: (seq) => longForm(name, seq.toJSON()) },
  ]);
}

function parseYaml(path: string): unknown {
  return parse(readFileSync(path, "utf8"), { customTags: cloudFormationTags(), merge: true });
}

function at(value: unknown, path: string): unknown {
  let current = value;
  for (const key of path.split(".")) {
    if (typeof current !== "object" || current === null) return undefined;
    current = (current as Record<string, unknown>)[key];
  }
  return current;
}

// `unknown` variables are CloudFormation's own (`${AWS::Region}`) and stay as they are.
type Found = { readonly kind: "value"; readonly value: unknown } | { readonly kind: "unknown" };

function readIncluded(name: string, key: string | undefined, scope: Scope): Found {
  if (!/\.(?:ya?ml|json)$/.test(name)) return { kind: "unknown" };
  const included = resolveValue(parseYaml(resolve(scope.directory, name)), scope);
  return { kind: "value", value: key === undefined ? included : at(included, key) };
}

function readSource(source: string, address: string, scope: Scope): Found {
  switch (source) {
    case "self":
      return { kind: "value", value: resolveValue(at(scope.root, address), scope) };
    case "sls":
      return { kind: "value", value: resolveValue(at(scope.root, `provider.${address}`), scope) };
    case "opt":
      return { kind: "value", value: scope.options[address] };
    case "env":
      return { kind: "value", value: scope.environment[address] };
    default:
      return { kind: "unknown" };
  }
}

function readOne(text: string, scope: Scope): Found {
  const literal = /^(?:'([^']*)'|(true|false)|(\d+))$/.exec(text);
  if (literal !== null) {
    const [, quoted, truth, number] = literal;
    if (quoted !== undefined) return { kind: "value", value: quoted };
    return { kind: "value", value: truth === undefined ? Number(number) : truth === "true" };
  }
  const file = /^file\(([^)]+)\)(?::(.+))?$/.exec(text);
  if (file?.[1] !== undefined) return readIncluded(file[1], file[2], scope);
  const named = /^(\w+):([\w.-]+)$/.exec(text);
  if (named?.[1] === undefined || named[2] === undefined) return { kind: "unknown" };
  return readSource(named[1], named[2], scope);
}

function readVariable(text: string, scope: Scope): Found {
  for (const part of text.split(",").map((part) => part.trim())) {
    const found = readOne(part, scope);
    if (found.kind === "unknown" || found.value !== undefined) return found;
  }
  throw new Error(`serverless.yml: \${${text}} has no value`);
}

function resolveText(text: string, scope: Scope): unknown {
  let current = text;
  for (;;) {
    const whole = /^\$\{([^${}]*)\}$/.exec(current);
    if (whole?.[1] !== undefined) {
      const found = readVariable(whole[1], scope);
      return found.kind === "value" ? found.value : current;
    }
    const next = current.replace(/\$\{([^${}]*)\}/g, (all, inner: string) => {
      const found = readVariable(inner, scope);
      return found.kind === "value" ? String(found.value) : all;
    });
    if (next === current) return current;
    current = next;
  }
}

function resolveValue(value: unknown, scope: Scope): unknown {
  if (typeof value === "string") return resolveText(value, scope);
  if (Array.isArray(value)) return value.map((item) => resolveValue(item, scope));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, resolveValue(item, scope)]),
  );
}

/**
 * Reads a serverless.yml with its included YAML files and resolves the variables the Serverless
 * Framework would resolve (`self`, `sls:stage`, `opt`, `env`, `file`, literals, fallbacks).
 * CloudFormation's short tags become their long forms; its own `${…}` stay. Script files
 * (`file(x.cjs)`) stay unresolved, they are not run. Throws on a variable without a value.
 */
export function readServiceFile(path: string, sources: VariableSources): unknown {
  const root = parseYaml(path);
  return resolveValue(root, { ...sources, directory: dirname(path), root });
}
