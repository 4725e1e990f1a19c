import { globSync, readFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const aws = ["@aws-sdk/*", "aws-lambda"];
const layers = ["layers/domain", "layers/protocol", "layers/store", "layers/openstack"];
const agentCommon = ["layers/domain", "layers/protocol", "zod/mini"];

/**
 * Who may import whom (design §3): the longest folder that holds a file decides. A name is a folder,
 * a file, or a package; `type:` allows types only; `*` at the end stands for anything.
 */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  "layers/domain": [],
  "layers/protocol": ["layers/domain", "zod/mini", "jose", "node:crypto", "node:buffer"],
  "layers/store": ["layers/domain", "@aws-sdk/*", "node:crypto"],
  "layers/openstack": ["layers/domain", "layers/protocol", "zod/mini", "node:crypto"],
  functions: [
    ...layers,
    ...aws,
    "@middy/*",
    "jose",
    "zod/mini",
    "node:crypto",
    "node:stream",
    "node:timers/promises",
    "node:util",
  ],
  "agent/host": [...agentCommon, "node:*", "type:agent/drivers/driver.ts"],
  "agent/host/linux": [...agentCommon, "agent/host", "node:*", "koffi"],
  "agent/drivers": [...agentCommon, "agent/host", "node:path", "node:util", "node:crypto"],
  "agent/hypervisors": [...agentCommon, "agent/host", "node:path", "node:util", "node:crypto"],
  "agent/privileged": [
    ...agentCommon,
    "agent/host",
    "agent/drivers/pci-ids.ts",
    "node:crypto",
    "node:fs",
    "node:fs/promises",
    "node:net",
    "node:path",
  ],
  "agent/memory": [...agentCommon, "agent/host", "agent/runtime.ts", "node:path", "node:crypto"],
  "agent/reconcile": [
    ...agentCommon,
    "agent/drivers",
    "agent/hypervisors",
    "agent/host",
    "agent/memory",
    "agent/runtime.ts",
    "agent/trusted-clock.ts",
    "node:crypto",
    "node:util",
  ],
  "agent/session": [
    ...agentCommon,
    "agent/reconcile",
    "agent/memory",
    "agent/runtime.ts",
    "agent/trusted-clock.ts",
    "ws",
    "node:*",
  ],
  agent: [...agentCommon, "agent/*", "ws", "node:*"],
  cli: ["layers/domain", "layers/protocol", "zod/mini", "package.json", "node:*"],
  localstack: [...layers, ...aws, "functions", "agent", "ws", "yaml", "zod/mini", "node:*"],
  tools: [
    "layers/domain",
    "layers/protocol",
    "agent",
    "localstack",
    "esbuild",
    "yazl",
    "yaml",
    "zod/mini",
    "@aws/cloudformation-validate",
    "node:*",
  ],
};

/** The only index files: tables of what can be plugged in, not barrels. */
const tables = ["agent/drivers/index.ts", "agent/hypervisors/index.ts"];
const mostLines = 300;

interface Import {
  readonly target: string;
  readonly isType: boolean;
}

const statement =
  /^(import|export)(\s+type)?\s(?:[^;"]*?\sfrom\s)?\s*"([^"]+)"|\bimport\(\s*"([^"]+)"/gm;

function importsOf(file: string, source: string): readonly Import[] {
  return [...source.matchAll(statement)].map(([, , type, named, dynamic]) => ({
    target: resolved(file, named ?? dynamic ?? ""),
    isType: type !== undefined,
  }));
}

function resolved(file: string, specifier: string): string {
  if (specifier.startsWith("#")) return `layers/${specifier.slice(1)}.ts`;
  return specifier.startsWith(".") ? relative(".", resolve(dirname(file), specifier)) : specifier;
}

function areaOf(path: string): string {
  const areas = Object.keys(mayImport).filter((area) => path.startsWith(`${area}/`));
  return areas.toSorted((a, b) => b.length - a.length)[0] ?? path;
}

function isAllowed(from: string, { target, isType }: Import): boolean {
  return (mayImport[from] ?? []).some((entry) => {
    const [name, isOpen] = entry.startsWith("type:") ? [entry.slice(5), isType] : [entry, true];
    const isThere = name.endsWith("*")
      ? target.startsWith(name.slice(0, -1))
      : target === name || target.startsWith(`${name}/`);
    return isOpen && isThere;
  });
}

type Rule = (file: string, source: string) => readonly string[];

const rules = {
  "imports point the permitted way": (file, source) => {
    const from = areaOf(file);
    return importsOf(file, source)
      .filter((one) => areaOf(one.target) !== from && !isAllowed(from, one))
      .map(({ target }) => `${file} → ${target}`);
  },
  "every file is in a folder that has a rule": (file) =>
    mayImport[areaOf(file)] === undefined ? [file] : [],
  "nothing is exported as default": (file, source) =>
    /^export\s+default\b|^export\s*\{[^}]*\bas\s+default\b/m.test(source) ? [file] : [],
  "nothing is exported that comes from elsewhere": (file, source) =>
    /^export\s+(?:type\s+)?(?:\*|\{[^}]*\})[^;"]*\sfrom\s+"/m.test(source) ? [file] : [],
  "index files are tables": (file) =>
    /(?:^|\/)index\.ts$/.test(file) && !tables.includes(file) ? [file] : [],
  "importing has no effects": (file, source) => (/^import\s+"/m.test(source) ? [file] : []),
  "modules hold no state": (file, source) =>
    /^(?:export\s+)?(?:let|var)\s/m.test(source) ? [file] : [],
  "no file is too long to read": (file, source) =>
    source.trimEnd().split("\n").length > mostLines ? [file] : [],
} as const satisfies Readonly<Record<string, Rule>>;

const files = globSync("{functions,agent,layers,cli,localstack,tools}/**/*.ts", {
  exclude: (path) => path.includes("node_modules"),
}).map((file) => ({ file, source: readFileSync(file, "utf8") }));

describe("the house", () => {
  it.each(Object.entries(rules))("%s", (_rule, violations) => {
    expect(files.length).toBeGreaterThan(100);
    expect(files.flatMap(({ file, source }) => violations(file, source))).toEqual([]);
  });

  it("has files in every folder of the table, but for what is yet to come", () => {
    const empty = Object.keys(mayImport).filter(
      (area) => !files.some(({ file }) => file.startsWith(`${area}/`)),
    );
    expect(empty.filter((area) => area !== "layers/openstack")).toEqual([]);
  });
});

const planted: readonly (readonly [keyof typeof rules, string, string])[] = [
  ...[
    ["layers/domain/x.ts", "node:crypto"],
    ["layers/domain/x.ts", "zod/mini"],
    ["layers/domain/x.ts", "#protocol/uuid"],
    ["layers/protocol/http/x.ts", "#store/claims"],
    ["layers/protocol/x.ts", "node:fs"],
    ["layers/protocol/x.ts", "zod"],
    ["layers/store/x.ts", "#protocol/uuid"],
    ["layers/store/x.ts", "node:fs"],
    ["layers/store/x.ts", "../../functions/entry.ts"],
    ["layers/openstack/x.ts", "#store/claims"],
    ["functions/http/x.ts", "../../agent/start.ts"],
    ["functions/http/x.ts", "../../localstack/cloud.ts"],
    ["functions/http/x.ts", "node:fs"],
    ["functions/http/x.ts", "node:child_process"],
    ["agent/x.ts", "#store/claims"],
    ["agent/x.ts", "@aws-sdk/client-s3"],
    ["agent/x.ts", "../functions/entry.ts"],
    ["agent/host/x.ts", "../drivers/index.ts"],
    ["agent/host/x.ts", "../drivers/driver.ts"],
    ["agent/host/x.ts", "koffi"],
    ["agent/host/linux/x.ts", "../../drivers/driver.ts"],
    ["agent/host/x.ts", "../reconcile/plan.ts"],
    ["agent/drivers/x.ts", "../session/session.ts"],
    ["agent/drivers/x.ts", "../memory/marks.ts"],
    ["agent/drivers/x.ts", "node:fs/promises"],
    ["agent/hypervisors/x.ts", "../drivers/driver.ts"],
    ["agent/hypervisors/x.ts", "node:child_process"],
    ["agent/privileged/x.ts", "../reconcile/plan.ts"],
    ["agent/privileged/x.ts", "node:child_process"],
    ["agent/memory/x.ts", "../session/session.ts"],
    ["agent/reconcile/steps/x.ts", "../../session/session.ts"],
    ["agent/reconcile/x.ts", "node:fs"],
    ["agent/session/x.ts", "../drivers/driver.ts"],
    ["cli/x.ts", "#store/claims"],
    ["cli/commands/x.ts", "../../agent/start.ts"],
    ["cli/x.ts", "@aws-sdk/client-s3"],
    ["localstack/x.ts", "../test/domain/builders.ts"],
    ["localstack/x.ts", "../cli/main.ts"],
    ["tools/x.ts", "../functions/entry.ts"],
  ].map(
    ([file = "", target = ""]) =>
      ["imports point the permitted way", file, `import { x } from "${target}";`] as const,
  ),
  ["imports point the permitted way", "layers/domain/x.ts", 'import type { X } from "jose";'],
  ["imports point the permitted way", "layers/domain/x.ts", 'import {\n  x,\n} from "node:fs";'],
  ["imports point the permitted way", "layers/domain/x.ts", 'const x = await import("jose");'],
  ["imports point the permitted way", "layers/domain/x.ts", 'export { x } from "node:fs";'],
  ["imports point the permitted way", "layers/domain/x.ts", 'import "node:fs";'],
  ["every file is in a folder that has a rule", "layers/placement/x.ts", ""],
  ["nothing is exported as default", "cli/x.ts", "export default 1;"],
  ["nothing is exported as default", "cli/x.ts", "const x = 1;\nexport { x as default };"],
  ["nothing is exported that comes from elsewhere", "cli/x.ts", 'export * from "./y.ts";'],
  ["nothing is exported that comes from elsewhere", "cli/x.ts", 'export type { Y } from "./y.ts";'],
  ["nothing is exported that comes from elsewhere", "cli/x.ts", 'export {\n  y,\n} from "./y.ts";'],
  ["index files are tables", "layers/store/index.ts", ""],
  ["importing has no effects", "cli/x.ts", 'import "./y.ts";'],
  ["modules hold no state", "cli/x.ts", "let calls = 0;"],
  ["modules hold no state", "cli/x.ts", "export let calls = 0;"],
  ["no file is too long to read", "cli/x.ts", "x;\n".repeat(301)],
];

describe("a planted fault", () => {
  it.each(planted)("against '%s' is found in %s: %j", (rule, file, source) => {
    expect(rules[rule](file, source)).toHaveLength(1);
  });

  it("is planted against every rule and in every folder", () => {
    expect(new Set(planted.map(([rule]) => rule))).toEqual(new Set(Object.keys(rules)));
    const areas = new Set(planted.map(([, file]) => areaOf(file)));
    for (const area of Object.keys(mayImport)) expect(areas).toContain(area);
  });

  it.each([
    ["agent/host/x.ts", 'import type { Place } from "../drivers/driver.ts";'],
    ["agent/drivers/x.ts", 'import { readFile } from "../host/files.ts";'],
    ["functions/http/x.ts", 'import { readClaim } from "#store/claims";'],
    ["layers/store/x.ts", 'import { eq } from "#store/expression";'],
    ["cli/x.ts", 'import manifest from "../package.json" with { type: "json" };'],
    ["layers/domain/x.ts", 'const text = `a word from "somewhere"`;'],
  ])("is not seen where there is none: %s %s", (file, source) => {
    expect(Object.values(rules).flatMap((violations) => [...violations(file, source)])).toEqual([]);
  });
});
