import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createRouter } from "../../../localstack/gateway/routes.ts";
import { fn, model } from "./model.ts";

const keys = [
  "ANY /{proxy+}",
  "GET /pets/{proxy+}",
  "GET /pets/{kind}/{id}",
  "GET /pets/dog/{id}",
  "ANY /pets/dog/1",
  "GET /pets/dog/1",
  "ANY $default",
];
const service = model([
  fn("all", {
    routes: keys.map((key) => {
      const [method = "", path = ""] = key.split(" ");
      return { method, path };
    }),
  }),
]);
const route = createRouter(service);

test.each([
  ["GET", "/pets/dog/1", "GET /pets/dog/1"],
  ["POST", "/pets/dog/1", "ANY /pets/dog/1"],
  ["GET", "/pets/dog/2", "GET /pets/dog/{id}"],
  ["GET", "/pets/cat/2", "GET /pets/{kind}/{id}"],
  ["GET", "/pets/cat/2/3", "GET /pets/{proxy+}"],
  ["POST", "/pets/cat/2", "ANY /{proxy+}"],
  ["GET", "/", "$default"],
])("%s %s takes the most specific route", (method, path, key) => {
  expect(route(method, path)?.key).toBe(key);
});

test("path parameters hold what stood in their place, the greedy one the rest", () => {
  expect(route("GET", "/pets/cat/2")?.parameters).toEqual({ kind: "cat", id: "2" });
  expect(route("GET", "/pets/cat/2/3")?.parameters).toEqual({ proxy: "cat/2/3" });
});

test("a trailing slash is another path, and an empty segment is no parameter", () => {
  const only = createRouter(
    model([fn("a", { routes: [{ method: "GET", path: "/v1/images/{image}" }] })]),
  );
  expect(only("GET", "/v1/images/x")?.parameters).toEqual({ image: "x" });
  expect(only("GET", "/v1/images/")).toBeUndefined();
  expect(only("GET", "/v1/images/x/")).toBeUndefined();
  expect(only("PUT", "/v1/images/x")).toBeUndefined();
});

test("an exact route is found whatever else there is and in whatever order", () => {
  const segment = fc.stringMatching(/^[a-z]{1,4}$/);
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.boolean(), (parts, first) => {
      const exact = { method: "GET", path: `/${parts.join("/")}` };
      const vague = { method: "GET", path: `/${parts.map((_, index) => `{p${index}}`).join("/")}` };
      const routes = first ? [exact, vague] : [vague, exact];
      const match = createRouter(model([fn("a", { routes })]))("GET", exact.path);
      expect(match?.route).toBe(exact);
    }),
  );
});
