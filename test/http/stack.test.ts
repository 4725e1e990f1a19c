import { beforeEach, expect, test } from "vitest";
import { Fault } from "#domain/faults";
import { settingRoutes } from "#protocol/http/setting-routes";
import { type Handle, handle, httpFunction } from "../../functions/http/stack.ts";
import { refused, send } from "./event.ts";

let logged: unknown[];
beforeEach(() => {
  logged = [];
});

function serving(run: Handle) {
  return httpFunction(settingRoutes, { createProfile: run }, (error) => logged.push(error));
}

const body = { name: "a", groups: [{ "resources:PF": "1" }] };
const asked = { roles: "admin", body };

test("what is no fault is logged, and the caller learns nothing of it", async () => {
  const defect = new TypeError("the secret is xyzzy");
  const served = serving(handle(async () => await Promise.reject(defect)));
  const problem = await refused(served, "createProfile", asked);
  expect(problem).toMatchObject({ code: "INTERNAL", status: 500 });
  expect(JSON.stringify(problem)).not.toContain("xyzzy");
  expect(logged).toEqual([defect]);
});

test("a fault tells the caller and not the log, with its facts and when to come again", async () => {
  const fault = new Fault("TRY_AGAIN", "later", { retryAfterSeconds: 3, shard: 2 });
  const served = serving(handle(async () => await Promise.reject(fault)));
  const { statusCode, headers, body: text } = await send(served, "createProfile", asked);
  expect(statusCode).toBe(503);
  expect(headers["retry-after"]).toBe("3");
  const problem = JSON.parse(text) as Record<string, unknown>;
  expect(problem).toMatchObject({ code: "TRY_AGAIN", detail: "later", shard: 2 });
  expect(problem["instance"]).toBe("/v1/profiles");
  expect(logged).toEqual([]);
});

test.each([
  ["what is no JSON", { text: "{" }],
  ["another content type", { text: "a=1", headers: { "content-type": "text/plain" } }],
])("%s is the caller's mistake: told, not logged", async (_, request) => {
  const served = serving(handle(async () => ({ body: {} })));
  const problem = await refused(served, "createProfile", { roles: "admin", ...request });
  expect(problem).toMatchObject({ code: "INVALID_REQUEST", field: "body" });
  expect(logged).toEqual([]);
});

test("a route that the function does not serve is refused", async () => {
  const served = serving(handle(async () => ({ body: {} })));
  expect(await refused(served, "listProfiles")).toMatchObject({ code: "UNKNOWN_ROUTE" });
});

test("a handler without a route is a mistake that shows at once", () => {
  const run = handle(async () => ({ body: {} }));
  expect(() => httpFunction(settingRoutes, { noSuchRoute: run })).toThrow(/noSuchRoute/);
});

test("a defect that is a fault is logged too, and the caller learns nothing of it", async () => {
  const defect = new Fault("INTERNAL", "The table refused: arn:aws:iam::123456789012:role/x");
  const served = serving(handle(async () => await Promise.reject(defect)));
  const problem = await refused(served, "createProfile", asked);
  expect(problem).toMatchObject({ code: "INTERNAL", status: 500 });
  expect(JSON.stringify(problem)).not.toContain("123456789012");
  expect(logged).toEqual([defect]);
});
