import { randomUUID } from "node:crypto";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OperationId, routes } from "#protocol/http/routes";
import { askedVersion } from "../../functions/accelerator/microversion.ts";
import type { Identify } from "../../functions/parts/identity.ts";
import { doorOver } from "./accelerator-door.ts";
import { doorRows } from "./accelerator-rows.ts";
import { type Callers, type Credentials, startCallers } from "./callers.ts";
import { anyJson, mutated, mutatedText, runs, wicked, wickedText } from "./fuzz.ts";
import { identifyBy, nativeDoor } from "./native-door.ts";
import { nativeRows } from "./native-rows.ts";
import { copyOf, makeKeys, makeWorld, owner, type World } from "./world.ts";

/** Any body and any query, sent by those who may most: whatever it is, the answer is below 500. */

let callers: Callers;
let identify: Identify;
let made: World;
let admin: Credentials;
let service: Credentials;

beforeAll(async () => {
  callers = await startCallers();
  identify = identifyBy(callers);
  made = await makeWorld(makeKeys());
  admin = await callers.good(owner, "admin");
  service = await callers.good(owner, "service");
});
afterAll(async () => {
  await callers.close();
});

/** Deep, wide and broken texts that no generator of JSON makes. */
const oddTexts: readonly string[] = [
  "",
  "{",
  "null",
  "[]",
  '"text"',
  "1e999",
  "\0",
  "\ufeff{}",
  "[".repeat(20_000),
  "[".repeat(5000) + "]".repeat(5000),
  `${'{"a":'.repeat(5000)}1${"}".repeat(5000)}`,
  '{"__proto__":{"isAdmin":true}}',
  '{"a":1,"a":2}',
];

const textOf = (valid: unknown): fc.Arbitrary<string> => {
  const changed = mutated(valid).map((one) => JSON.stringify(one) ?? "");
  const any = anyJson.map((one) => JSON.stringify(one) ?? "");
  return fc.oneof(
    { arbitrary: changed, weight: 4 },
    { arbitrary: any, weight: 1 },
    { arbitrary: mutatedText(JSON.stringify(valid) ?? ""), weight: 1 },
    { arbitrary: fc.constantFrom(...oddTexts), weight: 1 },
  );
};

const query = fc.dictionary(
  fc.constantFrom("limit", "after", "instance", "all", "claim", "since", "host", "state", "x"),
  fc.oneof(fc.string(), fc.constantFrom("1", "0", "-1", "1e3", "true", "WzAsIngiXQ", "__proto__")),
  { maxKeys: 3 },
);

const operations = (Object.keys(routes) as OperationId[]).filter(
  (one) => nativeRows[one] !== undefined,
);

describe.each(operations)("%s", (operation) => {
  test("answers any request below 500", async () => {
    const row = nativeRows[operation];
    const valid = row?.body?.(made) ?? {};
    const path = typeof row?.path === "function" ? row.path(made) : row?.path;
    await fc.assert(
      fc.asyncProperty(textOf(valid), query, async (text, asked) => {
        const ask = nativeDoor(await copyOf(made), identify);
        const { method } = routes[operation];
        const headers = { ...admin, "content-type": "application/json" };
        const { status, text: answer } = await ask(operation, {
          ...(path === undefined ? {} : { path }),
          query: asked,
          ...(method === "GET" ? {} : { text }),
          headers,
        });
        expect(status, answer).toBeLessThan(500);
        if (answer.startsWith("{")) JSON.parse(answer);
      }),
      runs(15),
    );
  });
});

/** One request to the accelerator API by whoever may most, with what went into its log. */
async function atDoor(name: string, text: string, rawQueryString = "") {
  const { target, service: needsService } = doorRows[name] ?? { target: "" };
  const [method = ""] = name.split(" ");
  const [rawPath = ""] = target.split("?");
  const { served, defects } = doorOver(await copyOf(made), identify);
  const caller = needsService === true ? service : admin;
  const json = { "content-type": "application/json", prefer: "respond-async" };
  const event = {
    version: "2.0",
    rawPath,
    rawQueryString,
    headers: { host: "h", ...json, ...caller },
    body: text,
    isBase64Encoded: false,
    requestContext: {
      http: { method, path: rawPath },
      requestId: randomUUID(),
      domainName: "h",
    },
  };
  const { statusCode, body: answer } = await served(event, {} as never);
  if (answer !== "") JSON.parse(answer);
  return { statusCode, answer, defects };
}

const withBody = operations.filter((one) => nativeRows[one]?.body !== undefined);
const doorsWithBody = Object.keys(doorRows).filter((name) => doorRows[name]?.body !== undefined);

describe.each(wicked.map((_, index) => index))(
  "wicked value %i in every place of a body",
  (index) => {
    test.each(withBody)("is the caller's mistake for %s", async (operation) => {
      const row = nativeRows[operation];
      const path = typeof row?.path === "function" ? row.path(made) : row?.path;
      for (const text of wickedText(row?.body?.(made), index)) {
        const ask = nativeDoor(await copyOf(made), identify);
        const headers = { ...admin, "content-type": "application/json" };
        const request = { ...(path === undefined ? {} : { path }), text, headers };
        expect((await ask(operation, request)).status, text.slice(0, 300)).toBeLessThan(500);
      }
    });

    const isAnswered = async (name: string) => {
      for (const text of wickedText(doorRows[name]?.body, index)) {
        const { defects } = await atDoor(name, text);
        expect(defects, text.slice(0, 300)).toEqual([]);
      }
    };
    test.each(doorsWithBody)("is the caller's mistake for %s", isAnswered);
  },
);

describe.each(Object.keys(doorRows))("%s", (name) => {
  test("answers any request below 500, but where Cyborg's own answer is 500", async () => {
    const { target, body } = doorRows[name] ?? { target: "" };
    const queries = mutatedText(`${target.split("?")[1] ?? "limit=1"}&filters[0].field=name`);
    const isAsked = name.startsWith("GET ") || name.startsWith("DELETE ");
    await fc.assert(
      fc.asyncProperty(textOf(body ?? {}), queries, async (text, asked) => {
        const { statusCode, answer, defects } = await atDoor(name, text, isAsked ? asked : "");
        expect(defects, answer).toEqual([]);
        expect(statusCode === 500 ? cyborgs.some((one) => answer.includes(one)) : true).toBe(true);
      }),
      runs(15),
    );
  });
});

/** The refusals that its test suite wants as 500 (functions/accelerator/profile-body.ts). */
const cyborgs = ["name needed", "longer than 255", "already exists"];

test("a version header is read as one, or refused with a reason", () => {
  const header = fc.oneof(fc.string(), mutatedText("compute 2.1, accelerator 2.3"));
  fc.assert(
    fc.property(header, (text) => {
      const asked = askedVersion(text);
      if ("minor" in asked) expect([0, 1, 2, 3]).toContain(asked.minor);
      else expect(asked.refused).not.toBe("");
    }),
    runs(500),
  );
});
