import { expect, test } from "vitest";
import * as keys from "../../layers/store/keys.ts";
import { readService } from "../../localstack/gateway/service.ts";
import { permissions, roleId, roles } from "../../tools/roles.ts";

interface Statement {
  readonly Action: readonly string[];
  readonly Resource: unknown;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
}

function statementsOf(name: string): readonly Statement[] {
  const role = roles[roleId(name)] as {
    Properties: { Policies: { PolicyDocument: { Statement: Statement[] } }[] };
  };
  return role.Properties.Policies.flatMap(({ PolicyDocument }) => PolicyDocument.Statement);
}

const names = Object.keys(permissions);

test("there is one role per function of serverless.yml", () => {
  const functions = readService("serverless.yml").functions.map(({ name }) => name);
  expect(names.toSorted()).toEqual(functions.toSorted());
});

test.each(names)("%s may do nothing on everything", (name) => {
  for (const { Action, Resource } of statementsOf(name)) {
    expect(Resource).not.toBe("*");
    for (const action of Action) expect(action).toMatch(/^[a-z0-9-]+:[A-Za-z]+$/);
  }
});

test.each(names)("%s reaches rows of the table only by the partitions it is granted", (name) => {
  const onTable = statementsOf(name).filter(
    ({ Resource }) => JSON.stringify(Resource) === '{"Fn::GetAtt":["Table","Arn"]}',
  );
  for (const { Condition, Action } of onTable) {
    expect(
      Condition?.["ForAllValues:StringLike"]?.["dynamodb:LeadingKeys"]?.length,
    ).toBeGreaterThan(0);
    expect(Action).not.toContain("dynamodb:Scan");
  }
});

test("every kind of row can be written and read by someone", () => {
  const sample = "00000000-0000-4000-8000-000000000000";
  const makers = Object.entries(keys).filter(([name]) => name.endsWith("Key"));
  const prefixes = makers.map(([, make]) => {
    const key = (make as (...parts: unknown[]) => { pk?: string })(sample, sample, 1);
    return String(key.pk).split("#")[0];
  });
  expect(prefixes.length).toBeGreaterThan(10);
  const all = Object.values(permissions);
  for (const prefix of prefixes) {
    expect(all.flatMap(({ writes = [] }) => writes)).toContain(prefix);
    expect(all.flatMap(({ reads = [] }) => reads)).toContain(prefix);
  }
});

test("only ingest writes verified images; only the image routes and the copier from Glance put others", () => {
  const putters = (prefix: "images" | "verified") =>
    names.filter((name) => permissions[name]?.puts?.includes(prefix));
  // A signature that comes over the API is judged at once, by the same ingest.
  expect(putters("verified")).toEqual(["images", "imageUploaded", "glance"]);
  expect(putters("images")).toEqual(["images", "glance"]);
});

test("only the stream's readers read the stream, of which a shard allows two", () => {
  const readers = names.filter((name) =>
    statementsOf(name).some(({ Action }) => Action.includes("dynamodb:GetRecords")),
  );
  expect(readers).toEqual(["tableChanged", "openstackChanged"]);
});
