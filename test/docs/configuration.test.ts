import { globSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { codeSpans, pageText } from "./pages.ts";

const page = pageText("docs/configuration.md");
const documented = new Set(codeSpans(page));
const settingName =
  /\b(?:(?:GATEHOUSE|AWS|LOCALSTACK|XDG|NOTIFY|WATCHDOG|OS)_[A-Z0-9_]*[A-Z0-9]|(?:PLACEMENT|GLANCE|NOVA)_ENDPOINT)\b/g;

/** Named in the sources, but nobody's to set: inner wiring, and what is only passed on to an SDK. */
const notSettings = new Set(["GATEHOUSE_SCRATCH", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION"]);

const sources = [
  "serverless.yml",
  "localstack/compose.yml",
  ...globSync("{functions,agent,cli,localstack,tools}/**/*.ts"),
];

function namesIn(text: string): readonly string[] {
  return text.match(settingName) ?? [];
}

const read = new Set(
  sources
    .flatMap((path) => namesIn(readFileSync(path, "utf8")))
    // `AWS_ENDPOINT_URL_${service}` and the like name a family; its members stand elsewhere.
    .filter((name) => !notSettings.has(name)),
);

test("docs/configuration.md names every variable that a program reads", () => {
  expect([...read].filter((name) => !documented.has(name))).toEqual([]);
});

test("docs/configuration.md names no variable that nothing reads", () => {
  expect([...new Set(namesIn(page))].filter((name) => !read.has(name))).toEqual([]);
});

test("docs/configuration.md names every setting of the agent's file", () => {
  const source = readFileSync("agent/config.ts", "utf8");
  const schema = /const settingsSchema = z\.object\(\{([\s\S]*?)^\}\);/m.exec(source)?.[1] ?? "";
  const members = [...schema.matchAll(/^ {2}(\w+):/gm)].map(([, name = ""]) => name);
  expect(members).toContain("stateDir");
  expect(members.filter((name) => !documented.has(name))).toEqual([]);
});
