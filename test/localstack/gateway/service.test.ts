import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { routes } from "../../../layers/protocol/http/routes.ts";
import { readService } from "../../../localstack/gateway/service.ts";
import { substitute } from "../../../localstack/gateway/substitute.ts";

const service = readService("serverless.yml");
const directory = mkdtempSync(join(tmpdir(), "service-"));
afterAll(() => rmSync(directory, { recursive: true }));

function read(text: string): ReturnType<typeof readService> {
  const path = join(directory, "serverless.yml");
  writeFileSync(path, text);
  return readService(path, { options: { stage: "x" }, environment: {} });
}

const table = "resources: { Resources: { T: { Type: AWS::DynamoDB::Table, Properties: {} } } }";

/** Cyborg's API has a router of its own, and finds out itself who calls. */
const own = ({ name }: { readonly name: string }) => name === "accelerator";

test("serverless.yml serves exactly the routes of the policy table, behind the right door", () => {
  const native = service.functions.filter((target) => !own(target));
  const declared = native.flatMap((target) =>
    target.routes.map(
      ({ method, path, authorizer }) => `${method} ${path} ${authorizer ?? "open"}`,
    ),
  );
  const wanted = Object.values(routes).map(({ method, path, role }) => {
    return `${method} ${path} ${role === "public" || role === "agent" ? "open" : "identity"}`;
  });
  expect(declared.toSorted()).toEqual(wanted.toSorted());
});

test("Cyborg's API is served whole at both mounts, without the gateway's door", () => {
  const routesOf = service.functions.filter(own).flatMap((target) => target.routes);
  expect(routesOf.map(({ path }) => path).toSorted()).toEqual([
    "/accelerator",
    "/accelerator/{proxy+}",
    "/v2",
    "/v2/{proxy+}",
    "/{mount}/",
  ]);
  expect(routesOf.every(({ method, authorizer }) => method === "ANY" && !authorizer)).toBe(true);
});

test("every function names its source entry", () => {
  expect(service.functions.map(({ handler }) => handler)).toContain(
    "functions/events/table-changed.handler",
  );
  expect(service.functions.length).toBeGreaterThan(20);
});

test("all kinds of triggers are read", () => {
  const by = (name: string) => service.functions.find((target) => target.name === name);
  expect(by("connect")?.socketRoutes).toEqual(["$connect"]);
  expect(by("sweep")?.schedules).toEqual(["rate(1 minute)"]);
  expect(by("tableChanged")?.streams).toEqual([
    {
      batchSize: 100,
      lanes: 10,
      bisect: true,
      reportsItemFailures: true,
      maximumRetryAttempts: 20,
      filters: expect.arrayContaining([{ dynamodb: { Keys: expect.any(Object) } }]),
    },
  ]);
  expect(by("imageUploaded")?.eventPatterns).toMatchObject([
    { source: ["aws.s3"], detail: { bucket: { name: [{ Ref: "Bucket" }] } } },
  ]);
  expect(by("imageUploaded")?.schedules).toEqual(["rate(5 minutes)"]);
  expect(by("imageUploaded")?.timeout).toBe(300);
});

test("the table, the bucket and the environment are read", () => {
  expect(service.table.logicalId).toBe("Table");
  expect(service.table.properties["GlobalSecondaryIndexes"]).toHaveLength(3);
  expect(service.buckets).toEqual(["Bucket"]);
  expect(service.authorizers).toEqual({
    identity: { functionName: "authorizer", identitySource: [], ttl: 0 },
  });
  expect(service.environment).toMatchObject({
    GATEHOUSE_TABLE: { Ref: "Table" },
    GATEHOUSE_SIGNATURE_POLICY: "required",
  });
});

test("options and environment variables go before the defaults", () => {
  const text = readService("serverless.yml", {
    options: { stage: "prod" },
    environment: { GATEHOUSE_AUTH: "keystone" },
  });
  expect(text.stage).toBe("prod");
  expect(text.environment["GATEHOUSE_AUTH"]).toBe("keystone");
  expect(text.table.properties["DeletionProtectionEnabled"]).toBe(true);
});

test("deployed into an emulator, sockets are where the emulator answers", () => {
  const { environment } = readService("serverless.yml", {
    options: { stage: "local" },
    environment: { GATEHOUSE_EMULATOR: "localhost:1234" },
  });
  expect(environment).toMatchObject({
    GATEHOUSE_SIGNATURE_POLICY: "optional",
    GATEHOUSE_SOCKET_URL: { "Fn::Sub": "ws://${WebsocketsApi}.execute-api.localhost:1234/local" },
    GATEHOUSE_SOCKET_ENDPOINT: {
      "Fn::Sub": "http://${WebsocketsApi}.execute-api.localhost:1234/local",
    },
  });
});

test("a trigger or a filter that is not served is an error, not silence", () => {
  const head = `service: x\nprovider: { stage: x }\n${table}\nfunctions: { a: { package: { artifact: http-a.zip }, events: `;
  expect(() => read(`${head}[{ sqs: { arn: x } }] } }`)).toThrow(/functions\.a\.events/);
  expect(() =>
    read(`${head}[{ stream: { type: dynamodb, arn: x, filterPatterns: [] } }] } }`),
  ).toThrow(/functions\.a\.events/);
  expect(() =>
    read(`${head}[{ stream: { type: dynamodb, arn: x, tumblingWindowInSeconds: 5 } }] } }`),
  ).toThrow(/functions\.a\.events/);
});

test("a service without a table, an artifact without a source and a variable without a value are errors", () => {
  const provider = "service: x\nprovider: { stage: x }\n";
  expect(() => read(`${provider}functions: {}\nresources: { Resources: {} }`)).toThrow(/no table/);
  expect(() =>
    read(`${provider}${table}\nfunctions: { a: { package: { artifact: a.zip } } }`),
  ).toThrow(/names no source/);
  expect(() => read(`service: \${env:NOWHERE}\nprovider: { stage: x }\nfunctions: {}`)).toThrow(
    "${env:NOWHERE} has no value",
  );
});

test("references are replaced everywhere, unknown ones are an error", () => {
  const value = {
    a: [{ Ref: "Bucket" }],
    b: { "Fn::GetAtt": ["Table", "Arn"] },
    c: { "Fn::Sub": "x-${Bucket}-y" },
    d: 1,
  };
  expect(substitute(value, { Bucket: "b", "Table.Arn": "arn" })).toEqual({
    a: ["b"],
    b: "arn",
    c: "x-b-y",
    d: 1,
  });
  expect(() => substitute({ Ref: "Nothing" }, {})).toThrow(/Nothing/);
});
