import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { routes } from "#protocol/http/routes";
import { commands } from "../../cli/commands.ts";
import { codeSpans, pages, pageText, tableRows } from "./pages.ts";

interface Manifest {
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readFileSync("package.json", "utf8")) as Manifest;

/** First cells of a page's tables that are one piece of code, without the backticks. */
function namedRows(page: string): readonly string[] {
  return tableRows(pageText(page)).flatMap(
    ([first = ""]) => /^`([^`]+)`$/.exec(first)?.slice(1) ?? [],
  );
}

test("docs/dependencies.md has one line for every dependency and no other", () => {
  const { dependencies, devDependencies, optionalDependencies } = manifest;
  const all = { ...dependencies, ...devDependencies, ...optionalDependencies };
  expect(namedRows("docs/dependencies.md").toSorted()).toEqual(Object.keys(all).toSorted());
});

test("docs/cli.md has every command with what it needs, in the order of the table", () => {
  const needed = commands.map(({ words, arguments: args = [], flags = [] }) => {
    const names = args.map(({ name, rest, optional }) => {
      const text = rest === true ? `${name}...` : name;
      return optional === true ? `[${text}]` : text;
    });
    const required = flags
      .filter((flag) => flag.required === true)
      .map(({ name, value }) => `--${name} ${value ?? "VALUE"}`);
    return [...words, ...names, ...required].join(" ");
  });
  const said = namedRows("docs/cli.md").filter((row) => !row.startsWith("-"));
  expect(said).toEqual(needed);
});

test("docs/cli.md names the optional flags of every command", () => {
  const rows = tableRows(pageText("docs/cli.md"));
  const missing = commands.flatMap(({ words, flags = [] }) => {
    const row = rows.find(([first = ""]) => `${first} `.startsWith(`\`${words.join(" ")}`)) ?? [];
    return flags.filter(({ name }) => !row.join(" ").includes(`--${name}`)).map(({ name }) => name);
  });
  expect(missing).toEqual([]);
});

test("docs/security.md gives every route under its role, once", () => {
  const byRole = new Map(
    tableRows(pageText("docs/security.md")).map(([role = "", list = ""]) => [
      role,
      codeSpans(list),
    ]),
  );
  const roles = ["public", "agent", "reader", "member", "admin"] as const;
  for (const role of roles) {
    const served = Object.values(routes).filter((route) => route.role === role);
    const names = served.map(({ method, path }) => `${method} ${path}`);
    expect(byRole.get(role)?.toSorted(), role).toEqual(names.toSorted());
  }
});

test("docs/table.md says how every route is answered", () => {
  const said = new Set(codeSpans(pageText("docs/table.md")));
  const names = Object.values(routes).map(({ method, path }) => `${method} ${path}`);
  expect(names.filter((name) => !said.has(name))).toEqual([]);
});

test.each(pages)("%s names only npm scripts that there are", (page) => {
  const named = [...pageText(page).matchAll(/\bnpm run ([\w:-]+)/g)].map(([, name = ""]) => name);
  expect(named.filter((name) => !Object.hasOwn(manifest.scripts, name))).toEqual([]);
});

test("docs/contributing.md names every npm script", () => {
  const said = pageText("docs/contributing.md");
  const scripts = Object.keys(manifest.scripts);
  expect(scripts.filter((name) => !new RegExp(`\\b${name}\\b`).test(said))).toEqual([]);
});

test("the README maps every top-level folder", () => {
  const folders = readdirSync(".", { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .filter((name) => name === ".ci" || !(name.startsWith(".") || name === "node_modules"));
  const mapped = namedRows("README.md").map((name) => name.replace(/\/$/, ""));
  expect(mapped.toSorted()).toEqual(folders.toSorted());
});
