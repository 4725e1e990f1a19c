import { Readable } from "node:stream";
import {
  BatchGetItemCommand,
  DynamoDBClient,
  type DynamoDBClientConfig,
  GetItemCommand,
  QueryCommand,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { marshalItem, unmarshalItem } from "#store/marshal";
import { plainProtocol } from "#store/plain-codec";

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}

/** A client that keeps what it sent; it gets this answer to everything. */
function client(settings: DynamoDBClientConfig, answer: object, status = 200) {
  const sent: Sent[] = [];
  const config = {
    region: "us-east-1",
    credentials: { accessKeyId: "x", secretAccessKey: "y" },
    maxAttempts: 1,
    requestHandler: {
      handle: async (request: Sent) => {
        sent.push(request);
        const body = Readable.from([Buffer.from(JSON.stringify(answer))]);
        const headers = { "content-type": "application/x-amz-json-1.0" };
        return { response: { statusCode: status, headers, body } };
      },
    } as never,
  };
  return { client: new DynamoDBClient({ ...config, ...settings }), sent };
}

const plain = () => ({ protocolSettings: plainProtocol() });
const bodyOf = ({ body }: Sent): unknown => JSON.parse(new TextDecoder().decode(body));

const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    fc.string({ unit: "binary" }),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("any"), { maxLength: 3 }),
    fc.dictionary(fc.string({ unit: "binary" }), tie("any"), { maxKeys: 3 }),
  ),
})).any as fc.Arbitrary<never>;
const item = fc.dictionary(fc.string({ unit: "binary" }), value, { maxKeys: 5 });
const Key = { pk: { S: "a" }, sk: { S: "b" } };
const TableName = "gatehouse";

describe("requests", () => {
  it("are the same as with the SDK's own codec", async () => {
    await fc.assert(
      fc.asyncProperty(item, async (row) => {
        const [own, theirs] = [client(plain(), {}), client({}, {})];
        const Item = marshalItem(row);
        const ClientRequestToken = "11111111-1111-4111-8111-111111111111";
        const commands = () => [
          new GetItemCommand({ TableName, Key, ConsistentRead: true }),
          new QueryCommand({ TableName, ExpressionAttributeValues: Item, Limit: 1 }),
          new UpdateItemCommand({ TableName, Key, ExpressionAttributeValues: Item }),
          new TransactWriteItemsCommand({
            ClientRequestToken,
            TransactItems: [{ Put: { TableName, Item } }, { Delete: { TableName, Key } }],
          }),
        ];
        for (const command of commands()) await own.client.send(command as GetItemCommand);
        for (const command of commands()) await theirs.client.send(command as GetItemCommand);
        expect(own.sent.map(bodyOf)).toEqual(theirs.sent.map(bodyOf));
        const targets = ({ sent }: typeof own) =>
          sent.map(({ headers }) => headers["x-amz-target"]);
        expect(targets(own)).toEqual(targets(theirs));
        expect(own.sent.map(({ path }) => path)).toEqual(theirs.sent.map(({ path }) => path));
      }),
      { numRuns: 50 },
    );
  });

  it("carry a token of their own in a transaction that brings none", async () => {
    const { client: own, sent } = client(plain(), {});
    const send = async () => {
      const TransactItems = [{ Delete: { TableName, Key } }];
      await own.send(new TransactWriteItemsCommand({ TransactItems }));
    };
    await send();
    await send();
    const tokens = sent.map((one) => (bodyOf(one) as Record<string, string>)["ClientRequestToken"]);
    expect(tokens[0]).toMatch(/^[\da-f-]{36}$/);
    expect(new Set(tokens).size).toBe(2);
  });
});

describe("answers", () => {
  it("are the same as with the SDK's own codec", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(item, { maxLength: 3 }), async (rows) => {
        const Items = rows.map(marshalItem);
        const answer = {
          Items,
          Responses: { gatehouse: Items },
          Item: Items[0],
          UnprocessedKeys: {},
        };
        const read = async (settings: DynamoDBClientConfig) => {
          const { client: one } = client(settings, answer);
          const got = await one.send(new GetItemCommand({ TableName, Key }));
          const queried = await one.send(new QueryCommand({ TableName }));
          const RequestItems = { [TableName]: { Keys: [Key] } };
          const many = await one.send(new BatchGetItemCommand({ RequestItems }));
          return [got.Item, queried.Items, many.Responses].map((part) => JSON.stringify(part));
        };
        expect(await read(plain())).toEqual(await read({}));
        expect(Items.map(unmarshalItem)).toEqual(rows);
      }),
      { numRuns: 50 },
    );
  });

  it("that refuse are errors of the same class, with the rows of a cancelled transaction", async () => {
    const refused = {
      __type: "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
      Message: "cancelled",
      CancellationReasons: [
        { Code: "ConditionalCheckFailed", Message: "no", Item: marshalItem({ pk: "a", n: [1] }) },
        { Code: "None" },
      ],
    };
    const seen = async (settings: DynamoDBClientConfig) => {
      const { client: one } = client(settings, refused, 400);
      const TransactItems = [{ Delete: { TableName, Key } }];
      const sending = one.send(new TransactWriteItemsCommand({ TransactItems }));
      return await sending.catch((error: Error & { CancellationReasons?: object }) => ({
        class: error.constructor,
        name: error.name,
        message: error.message,
        reasons: error.CancellationReasons,
      }));
    };
    const own = await seen(plain());
    expect(own).toEqual(await seen({}));
    expect(own).toMatchObject({ name: "TransactionCanceledException" });
  });

  it("that are no JSON are errors", async () => {
    const { client: one } = client(
      {
        ...plain(),
        requestHandler: {
          handle: async () => ({
            response: {
              statusCode: 200,
              headers: {},
              body: Readable.from([Buffer.from("<html>")]),
            },
          }),
        } as never,
      },
      {},
    );
    await expect(one.send(new GetItemCommand({ TableName, Key }))).rejects.toThrow(SyntaxError);
  });
});

describe("a map", () => {
  it("keeps every name, also the one that is no ordinary one", () => {
    const row = JSON.parse('{"pk":"a","value":{"__proto__":{"n":1},"constructor":"c"}}') as object;
    const back = unmarshalItem(marshalItem(row as never));
    expect(JSON.stringify(back)).toBe(JSON.stringify(row));
    expect(Object.getPrototypeOf(back["value"])).toBe(Object.prototype);
  });
});
