import { beforeEach, describe, expect, test } from "vitest";
import type { OperationId } from "#protocol/http/routes";
import { claimsFunction } from "../../functions/http/claims.ts";
import { deployablesFunction } from "../../functions/http/deployables.ts";
import { devicesFunction } from "../../functions/http/devices.ts";
import { hostsFunction } from "../../functions/http/hosts.ts";
import { imagesFunction } from "../../functions/http/images.ts";
import { keysFunction } from "../../functions/http/keys.ts";
import { operationsFunction } from "../../functions/http/operations.ts";
import { profilesFunction } from "../../functions/http/profiles.ts";
import { quotasFunction } from "../../functions/http/quotas.ts";
import { Catalogue } from "../../functions/parts/catalogue.ts";
import { type HttpFunction, refused, send } from "./event.ts";
import { testStore } from "./rows.ts";

let served: Readonly<Record<string, HttpFunction>>;

beforeEach(() => {
  const store = testStore();
  const resolving = { store, catalogue: new Catalogue(store), hosts: new Map() };
  const settings = { bindDeadlineMs: 180_000, defaultQuota: 8 };
  const bucket = undefined as never;
  served = {
    claim: claimsFunction({ ...resolving, settings, large: new Map() }),
    deployable: deployablesFunction(resolving),
    device: devicesFunction({ store }),
    host: hostsFunction({ store, push: { close: async () => undefined } }),
    image: imagesFunction({
      store,
      bucket,
      settings: { signaturePolicy: "optional", maxImageBytes: 1 },
    }),
    key: keysFunction({ store }),
    operation: operationsFunction({ store }),
    profile: profilesFunction({ store }),
    project: quotasFunction({ store }),
  };
});

const reads: readonly (readonly [string, OperationId])[] = [
  ["claim", "getClaim"],
  ["claim", "releaseClaim"],
  ["deployable", "getDeployable"],
  ["deployable", "listReceipts"],
  ["device", "getDevice"],
  ["host", "getHost"],
  ["image", "getImage"],
  ["key", "getKey"],
  ["operation", "getOperation"],
  ["profile", "getProfile"],
  ["project", "getQuotas"],
];

const functionOf = (name: string): HttpFunction => {
  const one = served[name];
  if (one === undefined) throw new Error(`no function ${name}`);
  return one;
};

describe.each(reads)("an odd %s asked of %s", (name, operation) => {
  test.each([
    ["a long one", "a".repeat(3000)],
    ["one of many bytes", "\u{1F600}".repeat(120)],
    ["nothing", ""],
    ["control characters", "\u0000\n#"],
    ["the name of a built-in", "__proto__"],
  ])("%s is the caller's mistake", async (_, value) => {
    const request = { roles: "admin", path: { [name]: value } };
    const { statusCode } = await send(functionOf(name), operation, request);
    expect([200, 400, 404]).toContain(statusCode);
  });
});

test.each([
  ["a fraction", '{"manifest":{"size":1.5}}'],
  ["an endless number", '{"manifest":1e999}'],
  ["too many levels", `{"manifest":${"[".repeat(100_000)}${"]".repeat(100_000)}}`],
])("%s in a body is the caller's mistake", async (_, text) => {
  const problem = await refused(functionOf("image"), "signImage", { text, path: { image: "x" } });
  expect(problem).toMatchObject({ code: "INVALID_REQUEST", field: "body" });
});

test("an operator's reason has an end", async () => {
  const problem = await refused(functionOf("deployable"), "takeOverHandle", {
    roles: "admin",
    path: { deployable: "x" },
    body: { handle: "pf", reason: "a".repeat(500_000) },
  });
  expect(problem).toMatchObject({ code: "INVALID_REQUEST", field: "reason" });
});
