import { describe, expect, test } from "vitest";
import type { Role } from "#protocol/http/route";
import { type OperationId, routes } from "#protocol/http/routes";
import { create as agentsFunction } from "../../functions/http/agents.ts";
import { catalogFunction } from "../../functions/http/catalog.ts";
import { claimsFunction } from "../../functions/http/claims.ts";
import { deployablesFunction } from "../../functions/http/deployables.ts";
import { devicesFunction } from "../../functions/http/devices.ts";
import { eventsFunction } from "../../functions/http/events.ts";
import { hostsFunction } from "../../functions/http/hosts.ts";
import { imagesFunction } from "../../functions/http/images.ts";
import { keysFunction } from "../../functions/http/keys.ts";
import { openstackFunction } from "../../functions/http/openstack.ts";
import { operationsFunction } from "../../functions/http/operations.ts";
import { profilesFunction } from "../../functions/http/profiles.ts";
import { quotasFunction } from "../../functions/http/quotas.ts";
import { serviceFunction } from "../../functions/http/service.ts";
import type { Bucket } from "../../functions/parts/bucket.ts";
import { Catalogue } from "../../functions/parts/catalogue.ts";
import { readService } from "../../localstack/gateway/service.ts";
import { type HttpFunction, send } from "./event.ts";
import { testStore, withoutCloud } from "./rows.ts";

const operations = Object.keys(routes) as OperationId[];
const service = readService("serverless.yml");
const isHttp = (name: string) => name !== "authorizer";
const deployed = service.functions.flatMap(({ name, routes: served }) =>
  served.map(({ method, path, authorizer }) => ({ name, key: `${method} ${path}`, authorizer })),
);
const keyOf = (operation: OperationId) => `${routes[operation].method} ${routes[operation].path}`;

describe("serverless.yml", () => {
  test("serves every route of the table once, and no other", () => {
    const native = deployed
      .map(({ key }) => key)
      .filter((key) => / \/(?:v1|agent\/v1)(?:\/|$)/.test(key));
    expect(native.toSorted()).toEqual(operations.map(keyOf).toSorted());
  });

  test.each(operations)("asks who calls %s exactly when the table wants to know", (operation) => {
    const { role } = routes[operation];
    const found = deployed.filter(({ key }) => key === keyOf(operation));
    const isOpen = role === "public" || role === "agent";
    expect(found.map(({ authorizer }) => authorizer)).toEqual([isOpen ? undefined : "identity"]);
  });

  test("asks the authorizer's function, and keeps no answer of it", () => {
    expect(service.authorizers["identity"]).toMatchObject({
      functionName: "authorizer",
      identitySource: [],
      ttl: 0,
    });
    expect(service.functions.find(({ name }) => !isHttp(name))?.handler).toMatch(
      /http\/authorizer/,
    );
  });
});

/** Every function over an empty table; whoever reaches the bucket has passed the policy. */
function functions(): ReadonlyMap<string, HttpFunction> {
  const store = testStore();
  const catalogue = new Catalogue(store);
  const unreachable = async () => await Promise.reject(new Error("no bucket here"));
  const bucket: Bucket = {
    facts: unreachable,
    read: unreachable,
    pin: unreachable,
    presignGet: unreachable,
    presignPut: unreachable,
  };
  const resolving = { store, catalogue, hosts: new Map() };
  const settings = { signaturePolicy: "optional", bindDeadlineMs: 1, defaultQuota: 1 } as const;
  const environment = { GATEHOUSE_TABLE: "t", GATEHOUSE_BUCKET: "b" };
  return new Map<string, HttpFunction>([
    ["agents", agentsFunction(environment) as HttpFunction],
    ["catalog", catalogFunction({ store })],
    ["claims", claimsFunction({ ...resolving, settings, large: new Map() })],
    ["deployables", deployablesFunction(resolving)],
    ["devices", devicesFunction({ store })],
    ["events", eventsFunction({ store })],
    ["hosts", hostsFunction({ store, push: { close: async () => undefined } })],
    ["images", imagesFunction({ store, bucket, settings: { ...settings, maxImageBytes: 1 } })],
    ["keys", keysFunction({ store })],
    ["openstack", openstackFunction(withoutCloud(store))],
    ["operations", operationsFunction({ store })],
    ["profiles", profilesFunction({ store })],
    ["quotas", quotasFunction({ store })],
    ["service", serviceFunction({ store, settings })],
  ]);
}

/** Who may call what, written out once more so that a slip in the ranking shows. */
const allowed: Readonly<Record<Role, readonly string[]>> = {
  public: ["", "reader", "member", "admin"],
  agent: ["", "reader", "member", "admin"],
  reader: ["reader", "member", "admin"],
  member: ["member", "admin"],
  admin: ["admin"],
};

describe("the policy", () => {
  const served = functions();
  const path = Object.fromEntries(
    ["image", "host", "device", "deployable", "claim", "operation", "profile", "project", "key"]
      .concat("resourceClass")
      .map((name) => [name, "x"]),
  );
  const matrix = operations.flatMap((operation) =>
    ["", "reader", "member", "admin", "root", "reader,root", "member,reader"].map(
      (roles) => [operation, roles] as const,
    ),
  );

  test.each(matrix)("%s as %j is decided as the table says", async (operation, roles) => {
    const name = deployed.find(({ key }) => key === keyOf(operation))?.name ?? "";
    const run = served.get(name);
    expect(run, `${name} serves ${operation}`).toBeDefined();
    if (run === undefined) return;
    const { body } = await send(run, operation, { path, roles, body: {} });
    const mayCall = ["", ...roles.split(",")].some((role) =>
      allowed[routes[operation].role].includes(role),
    );
    const { code } = (body.startsWith("{") ? JSON.parse(body) : {}) as { code?: string };
    expect(code === "FORBIDDEN").toBe(!mayCall);
    expect(["UNKNOWN_ROUTE", "INTERNAL"]).not.toContain(code);
  });
});
