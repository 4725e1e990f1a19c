import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readTableDefinition } from "../../../localstack/table/definition.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "gatehouse-test-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const resources = `
Resources:
  Queue: { Type: "AWS::SQS::Queue" }
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Sub "x-\${AWS::Region}"
      BillingMode: PAY_PER_REQUEST
      KeySchema: [{ AttributeName: pk, KeyType: HASH }]
      AttributeDefinitions: [{ AttributeName: pk, AttributeType: S }]
      StreamSpecification: { StreamViewType: NEW_AND_OLD_IMAGES }
      TimeToLiveSpecification: { AttributeName: end, Enabled: true }
      SSESpecification: { SSEEnabled: true }
`;
const expected = {
  create: {
    BillingMode: "PAY_PER_REQUEST",
    KeySchema: [{ AttributeName: "pk", KeyType: "HASH" }],
    AttributeDefinitions: [{ AttributeName: "pk", AttributeType: "S" }],
    StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" },
  },
  expires: "end",
};

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

const indented = (text: string) => text.replaceAll("\n", "\n  ");

it("reads the table that serverless.yml itself defines", () => {
  const path = file("plain.yml", `service: x\nresources:${indented(resources)}`);
  expect(readTableDefinition(path)).toEqual(expected);
});

it("follows resources into other files", () => {
  file("table.yml", resources);
  file("other.yml", "Resources: { Topic: { Type: 'AWS::SNS::Topic' } }");
  const list = "resources:\n  - ${file(other.yml)}\n  - Outputs: {}\n  - ${file(./table.yml)}\n";
  expect(readTableDefinition(file("list.yml", list))).toEqual(expected);
  const one = file("one.yml", "resources: ${file(table.yml)}\n");
  expect(readTableDefinition(one)).toEqual(expected);
});

it("refuses a file without a table", () => {
  for (const text of ["service: x\n", "resources: {}\n", "resources: ['${self:custom.x}']\n"]) {
    expect(() => readTableDefinition(file("none.yml", text))).toThrowError(
      expect.objectContaining({ code: "INTERNAL" }),
    );
  }
});
