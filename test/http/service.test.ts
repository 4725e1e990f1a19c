import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { type OperationId, routes } from "#protocol/http/routes";
import { oweDrop } from "#store/allocations";
import { oweEvent } from "#store/outbox";
import { writePlacement } from "#store/placement";
import { serviceFunction } from "../../functions/http/service.ts";
import { ask, type HttpFunction, refused, send } from "./event.ts";
import {
  addClaimRow,
  addDeployable,
  addHost,
  addImageRow,
  handleOf,
  heldHandle,
  idOf,
  type TestStore,
  testStore,
} from "./rows.ts";

let store: TestStore;
let served: HttpFunction;
beforeEach(() => {
  store = testStore();
  served = serviceFunction({ store, settings: { signaturePolicy: "required" } });
});

const nobody = { roles: "", project: "" };

test("the service says who it is to anyone, with the package's version", async () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  expect(await ask(served, "describeService", nobody)).toEqual({
    name: "gatehouse",
    version,
    protocol: 1,
    openapi: "/v1/openapi.json",
    signaturePolicy: "required",
  });
});

describe("metrics", () => {
  const text = async () => await send(served, "metrics", { roles: "admin" });
  const valueOf = (body: string, series: string) =>
    Number(
      body
        .split("\n")
        .find((line) => line.startsWith(`${series} `))
        ?.split(" ")[1],
    );

  test("count everything by state, and say 0 where there is nothing", async () => {
    const host = await addHost(store, "node1");
    await addHost(store, "node2", { state: "offline" });
    await addDeployable(store, host, "a");
    await addDeployable(store, host, "b", { handles: { pf: heldHandle("p1", "x") } });
    await addDeployable(store, host, "c", { present: false });
    const handles = { pf: handleOf({ state: "releasing" }) };
    await addDeployable(store, { id: "gone", name: "removed" }, "d", { handles });
    await addClaimRow(store, "c1");
    await addClaimRow(store, "c2", { project: "p2", state: "BindFailed" });
    await addImageRow(store, "i1");
    const { statusCode, headers, body } = await text();
    expect(statusCode).toBe(200);
    expect(headers["content-type"]).toMatch(/^text\/plain; version=0\.0\.4/);
    for (const [series, value] of [
      ['gatehouse_hosts{state="online"}', 1],
      ['gatehouse_hosts{state="offline"}', 1],
      ['gatehouse_hosts{state="drained"}', 0],
      ['gatehouse_deployables{state="idle"}', 1],
      ['gatehouse_deployables{state="ready"}', 1],
      ['gatehouse_deployables{state="faulty"}', 1],
      ['gatehouse_handles{state="free"}', 2],
      ['gatehouse_handles{state="claimed"}', 1],
      ['gatehouse_handles{state="releasing"}', 0],
      ['gatehouse_claims{state="Bound"}', 1],
      ['gatehouse_claims{state="BindFailed"}', 1],
      ['gatehouse_images{state="active"}', 1],
      ['gatehouse_images{state="pending"}', 0],
    ] as const) {
      expect(valueOf(body, series), series).toBe(value);
    }
  });

  test("are in the exposition format: help and type before samples, each series once", async () => {
    const { body } = await text();
    expect(body.endsWith("\n")).toBe(true);
    const seen = new Set<string>();
    let family = "";
    for (const line of body.trimEnd().split("\n")) {
      const [, declared] = /^# TYPE (\w+) gauge$/.exec(line) ?? [];
      family = declared ?? family;
      if (line.startsWith("#")) continue;
      const [, name, state] = /^(\w+?)(?:\{state="(\w+)"\})? \d+(?:\.\d+)?$/.exec(line) ?? [];
      expect(name, line).toBe(family);
      expect(seen.has(`${name} ${state}`), line).toBe(false);
      seen.add(`${name} ${state}`);
    }
    expect(seen.size).toBeGreaterThan(20);
  });

  test("tell what Placement and Nova are owed, and for how long", async () => {
    const arq = await addClaimRow(store, "arq", { provider: idOf("rp"), instance: idOf("vm") });
    const native = await addClaimRow(store, "native", { host: idOf("h"), allocation: "done" });
    const now = store.now();
    await store.table.write([...oweEvent(arq, "completed", now), ...oweDrop(native, now)]);
    const record = { host: idOf("h"), hostName: "node1", providers: {}, tries: 2, readAt: 0 };
    await writePlacement(store, undefined, { ...record, state: "failed", dueAt: now + 1_000 });
    store.pass(5_000);
    const { body } = await text();
    for (const [series, value] of [
      ['gatehouse_placement_hosts{state="failed"}', 1],
      ['gatehouse_placement_hosts{state="synced"}', 0],
      ["gatehouse_placement_lag_seconds", 4],
      ["gatehouse_nova_events_owed", 1],
      ["gatehouse_nova_event_tries", 0],
      ["gatehouse_nova_event_oldest_seconds", 5],
      ["gatehouse_allocations_owed", 1],
    ] as const) {
      expect(valueOf(body, series), series).toBe(value);
    }
  });

  test("are for admins", async () => {
    expect(await refused(served, "metrics", { roles: "member" })).toMatchObject({
      code: "FORBIDDEN",
    });
  });
});

describe("the OpenAPI document", () => {
  type Node = { readonly [name: string]: unknown };
  interface Operation extends Node {
    readonly operationId: string;
    readonly parameters: readonly { name: string; in: string; required: boolean; schema: Node }[];
    readonly requestBody?: { content: Record<string, { schema: Node }> };
    readonly responses: Record<string, Node>;
    readonly security: readonly Record<string, unknown>[];
  }
  let document: Node;
  let operations: Map<string, { path: string; method: string; operation: Operation }>;

  beforeEach(async () => {
    document = await ask<Node>(served, "openapi", nobody);
    const paths = document["paths"] as Record<string, Record<string, Operation>>;
    operations = new Map(
      Object.entries(paths).flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, operation]) => [
          operation.operationId,
          { path, method, operation },
        ]),
      ),
    );
  });

  function everyNode(node: unknown, visit: (node: Node) => void): void {
    if (typeof node !== "object" || node === null) return;
    if (!Array.isArray(node)) visit(node as Node);
    for (const child of Object.values(node)) everyNode(child, visit);
  }

  function resolve(ref: string): unknown {
    expect(ref).toMatch(/^#\//);
    return ref
      .slice(2)
      .split("/")
      .reduce<unknown>((node, name) => (node as Node | undefined)?.[name], document);
  }

  test("has every route of the table with its method and path, and no other", () => {
    const expected = Object.entries(routes).map(
      ([id, { method, path }]) => `${id} ${method.toLowerCase()} ${path}`,
    );
    const found = [...operations].map(([id, { method, path }]) => `${id} ${method} ${path}`);
    expect(found.toSorted()).toEqual(expected.toSorted());
  });

  test("every reference resolves, and every component is referred to", () => {
    const refs = new Set<string>();
    everyNode(document, (node) => {
      const ref = node["$ref"];
      if (typeof ref === "string") refs.add(ref);
    });
    expect(refs.size).toBeGreaterThan(20);
    for (const ref of refs) expect(resolve(ref), ref).toBeTypeOf("object");
    const { schemas } = document["components"] as { schemas: Node };
    const unused = Object.keys(schemas).filter((id) => !refs.has(`#/components/schemas/${id}`));
    expect(unused).toEqual([]);
  });

  test("every path parameter is declared, required and in the path", () => {
    for (const { path, operation } of operations.values()) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const declared = operation.parameters.filter((one) => one.in === "path");
      expect(declared.map(({ name }) => name)).toEqual(inPath);
      expect(declared.every(({ required }) => required)).toBe(true);
    }
  });

  test("every query parameter says its type, and every write takes an idempotency key", () => {
    for (const { method, operation } of operations.values()) {
      for (const one of operation.parameters.filter((parameter) => parameter.in === "query")) {
        expect(one.schema["type"], `${operation.operationId} ${one.name}`).toBeTypeOf("string");
      }
      const takesKey = operation.parameters.some(({ name }) => name === "Idempotency-Key");
      const isAgents = operation["x-gatehouse-role"] === "agent";
      expect(takesKey, operation.operationId).toBe(method !== "get" && !isAgents);
    }
  });

  test("limits are numbers with bounds", () => {
    const listHosts = operations.get("listHosts")?.operation;
    const limit = listHosts?.parameters.find(({ name }) => name === "limit");
    expect(limit?.schema).toEqual({ type: "integer", minimum: 1, maximum: 200 });
  });

  test("every operation says how it succeeds and that it can fail", () => {
    for (const [id, { operation }] of operations) {
      const route = routes[id as OperationId];
      expect(operation.responses[String(route.status)], id).toBeDefined();
      expect(operation.responses["default"], id).toEqual({
        $ref: "#/components/responses/Problem",
      });
      expect("body" in route, id).toBe(operation.requestBody !== undefined);
    }
  });

  test("every security requirement names a scheme; public routes need none", () => {
    const { securitySchemes } = document["components"] as { securitySchemes: Node };
    for (const [id, { operation }] of operations) {
      for (const name of operation.security.flatMap((one) => Object.keys(one))) {
        expect(securitySchemes[name], id).toBeDefined();
      }
      const isPublic = routes[id as OperationId].role === "public";
      expect(operation.security.length === 0, id).toBe(isPublic);
    }
  });

  test("requests are strict, answers may grow", () => {
    const { schemas } = document["components"] as { schemas: Record<string, Node> };
    expect(schemas["CreateHost"]).toMatchObject({
      additionalProperties: false,
      required: ["name"],
    });
    expect(schemas["Host"]?.["additionalProperties"]).toBeUndefined();
  });

  test("uses only keywords of JSON Schema 2020-12 with values they may have", () => {
    const types = ["string", "integer", "number", "boolean", "object", "array", "null"];
    const { schemas } = document["components"] as { schemas: Node };
    everyNode(schemas, (node) => {
      const type = node["type"];
      if (typeof type === "string" && !("code" in node)) expect(types).toContain(type);
      const pattern = node["pattern"];
      if (typeof pattern === "string") expect(() => new RegExp(pattern, "u")).not.toThrow();
      expect(node["$schema"]).toBeUndefined();
      expect(node["$id"]).toBeUndefined();
      expect(node["nullable"]).toBeUndefined();
      const required = node["required"];
      if (Array.isArray(required)) {
        expect(Object.keys(node["properties"] as Node)).toEqual(
          expect.arrayContaining(required as string[]),
        );
      }
    });
  });

  test("is the same text each time", async () => {
    const [one, two] = [
      await send(served, "openapi", nobody),
      await send(served, "openapi", nobody),
    ];
    expect(two.body).toBe(one.body);
  });
});
