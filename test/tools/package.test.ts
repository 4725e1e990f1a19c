import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { zipOf } from "../../tools/build.ts";
import { packageService } from "../../tools/package.ts";
import { describe, type Finding, TemplateValidator } from "../../tools/validate-template.ts";

// The real serverless.yml with made-up artifacts: the template depends on their names only.
interface Resource {
  Type: string;
  Properties: Record<string, unknown>;
}
interface Template {
  readonly Resources: Record<string, Resource>;
  readonly Outputs: Record<string, unknown>;
}

const directory = mkdtempSync(join(tmpdir(), "package-"));
let template: Template;
let validator: TemplateValidator;

function validate(text: string): Finding[] {
  const path = join(directory, "template.json");
  writeFileSync(path, text);
  return validator.validate(path);
}

beforeAll(async () => {
  cpSync("serverless.yml", join(directory, "serverless.yml"));
  cpSync("package.json", join(directory, "package.json"));
  cpSync("deploy", join(directory, "deploy"), { recursive: true });
  mkdirSync(join(directory, "tools"));
  cpSync("tools/roles.ts", join(directory, "tools/roles.ts"));
  symlinkSync(join(process.cwd(), "node_modules"), join(directory, "node_modules"));
  mkdirSync(join(directory, ".build/functions"), { recursive: true });
  const zip = await zipOf(Buffer.from("exports.handler = async () => undefined;"));
  const yaml = readFileSync("serverless.yml", "utf8");
  for (const [artifact] of yaml.matchAll(/\.build\/functions\/[\w-]+\.zip/g))
    writeFileSync(join(directory, artifact), zip);
  template = JSON.parse(readFileSync(packageService(directory), "utf8")) as Template;
  validator = new TemplateValidator();
}, 60_000);
afterAll(() => {
  validator[Symbol.dispose]();
  rmSync(directory, { recursive: true });
});

test("the packaged template has no fatal finding", () => {
  const fatal = validate(JSON.stringify(template)).filter((finding) => finding.fatal);
  expect(fatal.map(describe)).toEqual([]);
});

function planted(change: (resources: Template["Resources"]) => void): Finding[] {
  const copy = structuredClone(template);
  change(copy.Resources);
  return validate(JSON.stringify(copy)).filter((finding) => finding.fatal);
}

function properties(resources: Template["Resources"], id: string): Record<string, unknown> {
  const resource = resources[id];
  if (resource === undefined) throw new Error(`no resource ${id}`);
  return resource.Properties;
}

test.each<[string, string, (resources: Template["Resources"]) => void]>([
  ["an unknown property", "Table", (all) => (properties(all, "Table")["BilingMode"] = "x")],
  [
    "an unknown resource type",
    "Bucket",
    (all) => void Object.assign(all["Bucket"] ?? {}, { Type: "AWS::S3::Bukket" }),
  ],
  [
    "a reference to a resource that is not there",
    "ImagesLambdaFunction",
    (all) =>
      (properties(all, "ImagesLambdaFunction")["Role"] = { "Fn::GetAtt": ["NoRole", "Arn"] }),
  ],
  [
    "a number out of range",
    "SweepLambdaFunction",
    (all) => (properties(all, "SweepLambdaFunction")["Timeout"] = 0),
  ],
  [
    "a value outside an enumeration",
    "Table",
    (all) => (properties(all, "Table")["BillingMode"] = "FREE"),
  ],
  [
    "a key without its attribute",
    "Table",
    (all) =>
      (properties(all, "Table")["KeySchema"] = [{ AttributeName: "nowhere", KeyType: "HASH" }]),
  ],
  [
    "a missing required property",
    "ImagesLambdaFunction",
    (all) => delete properties(all, "ImagesLambdaFunction")["Code"],
  ],
])("%s is caught, at the right resource", (_what, where, change) => {
  const findings = planted(change);
  expect(findings.map((finding) => finding.where.split(".")[0])).toContain(where);
});

test("a circle of references is caught", () => {
  const findings = planted((all) => {
    const role = properties(all, "ImagesRole");
    role["Description"] = { "Fn::GetAtt": ["ImagesLambdaFunction", "Arn"] };
  });
  expect(findings.map(({ message }) => message).join()).toMatch(/circular/i);
});

test("a template that is none is fatal or refused", () => {
  let caught = false;
  try {
    caught = validate("not a template: [").some((finding) => finding.fatal);
  } catch {
    caught = true;
  }
  expect(caught).toBe(true);
});

test("no function shares a role, and the framework's own broad role is not there", () => {
  const functions = Object.values(template.Resources).filter(
    ({ Type }) => Type === "AWS::Lambda::Function",
  );
  const used = functions.map(({ Properties }) => JSON.stringify(Properties["Role"]));
  expect(new Set(used).size).toBe(functions.length);
  expect(template.Resources).not.toHaveProperty("IamRoleLambdaExecution");
});

test("functions run on Node 24 for arm64 with the signature policy required", () => {
  for (const { Type, Properties } of Object.values(template.Resources)) {
    if (Type !== "AWS::Lambda::Function") continue;
    expect(Properties).toMatchObject({
      Runtime: "nodejs24.x",
      Architectures: ["arm64"],
      Handler: "index.handler",
      Environment: { Variables: { GATEHOUSE_SIGNATURE_POLICY: "required" } },
    });
  }
});

test("a request without a token reaches the authorizer, and no verdict is kept", () => {
  expect(template.Resources["HttpApiAuthorizerIdentity"]?.Properties).toMatchObject({
    AuthorizerType: "REQUEST",
    IdentitySource: [],
    AuthorizerResultTtlInSeconds: 0,
    EnableSimpleResponses: true,
    AuthorizerPayloadFormatVersion: "2.0",
  });
});

test("whatever is given up ends in the queue that has an alarm", () => {
  const queue = { "Fn::GetAtt": ["DeadLetters", "Arn"] };
  const of = (type: string) =>
    Object.values(template.Resources).filter(({ Type }) => Type === type);
  const mapping = {
    DestinationConfig: { OnFailure: { Destination: queue } },
    FunctionResponseTypes: ["ReportBatchItemFailures"],
  };
  const mappings = of("AWS::Lambda::EventSourceMapping");
  expect(mappings.map(({ Properties }) => Properties)).toMatchObject([mapping, mapping]);
  expect(of("AWS::Lambda::EventInvokeConfig").map(({ Properties }) => Properties)).toMatchObject([
    { DestinationConfig: { OnFailure: { Destination: queue } } },
  ]);
  const rules = of("AWS::Events::Rule").filter(({ Properties }) => "EventPattern" in Properties);
  expect(rules.map(({ Properties }) => Properties)).toMatchObject([
    { Targets: [{ DeadLetterConfig: { Arn: queue } }] },
  ]);
  const dimensions = of("AWS::CloudWatch::Alarm").map(({ Properties }) =>
    JSON.stringify(Properties["Dimensions"] ?? []),
  );
  expect(dimensions.some((each) => each.includes("DeadLetters"))).toBe(true);
});

test("the outputs name what clients need", () => {
  expect(Object.keys(template.Outputs)).toEqual(
    expect.arrayContaining(["HttpApiUrl", "SocketUrl", "Bucket", "Table"]),
  );
});

test("a service that does not package says why", () => {
  rmSync(join(directory, ".build/functions/http-images.zip"));
  expect(() => packageService(directory)).toThrow(/http-images\.zip/);
});
