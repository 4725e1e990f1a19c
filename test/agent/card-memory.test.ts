import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { cardMemory } from "../../agent/card-memory.ts";

const facts = { family: "dfl", engine: "/dev/dfl-fme.0" };
let folder: string;
let logged: string[];
const open = (path = folder) => cardMemory(path, (event) => logged.push(event));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gatehouse-memory-"));
  logged = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("what is remembered is there for the next agent", () => {
  open().remember("slot", facts);
  expect(open().recall("slot")).toEqual(facts);
  expect(open().recall("other")).toBeUndefined();
});

test("the same facts are not written again", async () => {
  const memory = open();
  memory.remember("slot", facts);
  await writeFile(join(folder, "cards.json"), "{}");
  memory.remember("slot", { ...facts });
  expect(await readFile(join(folder, "cards.json"), "utf8")).toBe("{}");
});

test("a damaged file is an empty one", async () => {
  for (const text of ["{", "null", "7"]) {
    await writeFile(join(folder, "cards.json"), text);
    expect(open().recall("slot")).toBeUndefined();
  }
});

test("a folder that cannot be written is logged, and the facts hold for this process", () => {
  const memory = open(join(folder, "missing"));
  expect(memory.remember("slot", facts)).toBe(false);
  expect(memory.recall("slot")).toEqual(facts);
  expect(logged).toEqual(["card-memory-failed"]);
});

test("what could not be written is written when it is remembered again", async () => {
  const path = join(folder, "later");
  const memory = open(path);
  expect(memory.remember("slot", facts)).toBe(false);
  await mkdir(path);
  expect(memory.remember("slot", facts)).toBe(true);
  expect(open(path).recall("slot")).toEqual(facts);
});
