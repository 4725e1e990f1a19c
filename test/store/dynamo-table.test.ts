import { Readable } from "node:stream";
import { DynamoDBClient, type DynamoDBClientConfig } from "@aws-sdk/client-dynamodb";
import { afterEach, describe, expect, it } from "vitest";
import { dynamoTable } from "#store/dynamo-table";
import { absent, add, all, any, eq, exists, not, set, setIfAbsent } from "#store/expression";
import { plainProtocol } from "#store/plain-codec";
import type { Write } from "#store/table";

type RetryStrategy = Extract<
  DynamoDBClientConfig["retryStrategy"],
  { acquireInitialRetryToken: unknown }
>;

const key = { pk: "a", sk: "b" };
const clients: DynamoDBClient[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
});

interface Request {
  readonly operation: string;
  readonly body: Record<string, unknown>;
}

/** Three tries like the SDK's own strategy, without its waiting. */
const token = (tries: number) => ({ getRetryCount: () => tries, getRetryDelay: () => 0 });
const thrice: RetryStrategy = {
  acquireInitialRetryToken: async () => token(0),
  refreshRetryTokenForRetry: async (last, { errorType }) => {
    if (errorType === "CLIENT_ERROR" || last.getRetryCount() === 2) throw new Error("enough");
    return token(last.getRetryCount() + 1);
  },
  recordSuccess: () => undefined,
};

/** A client whose requests end at `answer` instead of at a server; what they carried is kept. */
function wired(answer: (request: Request, attempt: number) => object | Error) {
  const requests: Request[] = [];
  const client = new DynamoDBClient({
    region: "us-east-1",
    credentials: { accessKeyId: "x", secretAccessKey: "y" },
    protocolSettings: plainProtocol(),
    cacheMiddleware: true,
    retryStrategy: thrice,
    requestHandler: {
      handle: async (request: { headers: Record<string, string>; body: Uint8Array }) => {
        const operation = String(request.headers["x-amz-target"]).split(".")[1] ?? "";
        const seen = {
          operation,
          body: JSON.parse(new TextDecoder().decode(request.body)) as Request["body"],
        };
        requests.push(seen);
        const result = answer(seen, requests.length);
        if (result instanceof Error) throw result;
        const { status = 200, ...body } = result as { status?: number };
        return {
          response: {
            statusCode: status,
            headers: { "content-type": "application/x-amz-json-1.0" },
            body: Readable.from([Buffer.from(JSON.stringify(body))]),
          },
        };
      },
    } as never,
  });
  clients.push(client);
  return { table: dynamoTable(client, "gatehouse"), requests };
}

const refusal = (type: string, status = 400, more = {}) => ({
  status,
  __type: `com.amazonaws.dynamodb.v20120810#${type}`,
  message: type,
  ...more,
});
const lost = () =>
  Object.assign(new Error("socket hang up"), { code: "ECONNRESET", name: "TimeoutError" });

describe("a lost answer", () => {
  const harmedByRepetition: [string, Write][] = [
    ["conditional put", { kind: "put", item: key, if: absent("pk") }],
    ["conditional update", { kind: "update", key, changes: [set("n", 1)], if: absent("n") }],
    ["conditional delete", { kind: "delete", key, if: absent("n") }],
    ["addition", { kind: "update", key, changes: [add("n", 1)] }],
  ];
  it.each(harmedByRepetition)("repeats a single %s under one token", async (_, write) => {
    const { table, requests } = wired((_, attempt) => (attempt === 1 ? lost() : {}));
    expect(await table.write([write])).toEqual({ ok: true });
    expect(requests.map(({ operation }) => operation)).toEqual([
      "TransactWriteItems",
      "TransactWriteItems",
    ]);
    const [first, second] = requests.map(({ body }) => body["ClientRequestToken"]);
    expect(first).toEqual(expect.stringMatching(/^.{8,36}$/));
    expect(second).toBe(first);
  });

  it("gives each write a token of its own", async () => {
    const { table, requests } = wired(() => ({}));
    const write: Write = { kind: "put", item: key, if: absent("pk") };
    await table.write([write]);
    await table.write([write]);
    expect(new Set(requests.map(({ body }) => body["ClientRequestToken"])).size).toBe(2);
  });

  it.each([
    ["PutItem", { kind: "put", item: key }],
    ["UpdateItem", { kind: "update", key, changes: [set("n", 1)] }],
    ["DeleteItem", { kind: "delete", key }],
    [
      "UpdateItem",
      {
        kind: "update",
        key,
        changes: [set("n", 1)],
        if: all(eq("m", 2), not(absent("m"))),
        repeatable: true,
      },
    ],
  ] as const)("repeats a single %s, which a repetition does not harm", async (operation, write) => {
    const { table, requests } = wired((_, attempt) => (attempt === 1 ? lost() : {}));
    expect(await table.write([write])).toEqual({ ok: true });
    expect(requests.map((request) => request.operation)).toEqual([operation, operation]);
  });

  it("is reported when it happens too often", async () => {
    const { table } = wired(() => lost());
    const fault = { code: "TABLE_UNAVAILABLE", detail: { retryAfterSeconds: 1 } };
    await expect(table.get(key)).rejects.toMatchObject(fault);
    await expect(table.write([{ kind: "put", item: key }])).rejects.toMatchObject(fault);
    await expect(table.query({ pk: "a" })).rejects.toMatchObject(fault);
    await expect(table.getMany([key])).rejects.toMatchObject(fault);
  });
});

describe("an update that says that it may be repeated", () => {
  const repeatable = { kind: "update", key, repeatable: true } as const;
  it.each<[string, Write]>([
    ["adds", { ...repeatable, changes: [add("n", 1)] }],
    ["sets what is absent", { ...repeatable, changes: [setIfAbsent("n", 1)] }],
    ["changes its condition", { ...repeatable, changes: [set("n", 1)], if: eq("n", 0) }],
    ["changes part of it", { ...repeatable, changes: [set(["n", "m"], 1)], if: not(exists("n")) }],
    ["changes one of many", { ...repeatable, changes: [set("n", 1)], if: any(all(eq("n", 0))) }],
  ])("is refused when it %s", async (_, write) => {
    const { table, requests } = wired(() => ({}));
    await expect(table.write([write])).rejects.toMatchObject({ code: "INTERNAL" });
    expect(requests).toEqual([]);
  });

  it("is part of its transaction when it is not alone", async () => {
    const { table, requests } = wired(() => ({}));
    const update: Write = { ...repeatable, changes: [set("n", 1)], if: eq("m", 0) };
    await table.write([update, { kind: "put", item: { pk: "c", sk: "d" } }]);
    expect(requests.map(({ operation }) => operation)).toEqual(["TransactWriteItems"]);
  });

  it("tells a condition from another transaction", async () => {
    const update: Write = { ...repeatable, changes: [set("n", 1)], if: eq("m", 0) };
    const answers = async (type: string) =>
      await wired(() => refusal(type, 400, { Item: { pk: { S: "a" } } })).table.write([update]);
    expect(await answers("ConditionalCheckFailedException")).toEqual({
      ok: false,
      failures: [{ reason: "condition", item: { pk: "a" } }],
    });
    expect(await answers("TransactionConflictException")).toEqual({
      ok: false,
      failures: [{ reason: "conflict" }],
    });
  });
});

describe("a refused write", () => {
  const two: Write[] = [
    { kind: "put", item: key, if: absent("pk") },
    { kind: "delete", key: { pk: "c", sk: "d" } },
  ];
  const cancelled = (...codes: string[]) =>
    refusal("TransactionCanceledException", 400, {
      CancellationReasons: codes.map((Code) => ({ Code, Message: `because ${Code}` })),
    });

  it("is a conflict where another transaction holds the row", async () => {
    const { table } = wired(() => cancelled("None", "TransactionConflict"));
    expect(await table.write(two)).toEqual({
      ok: false,
      failures: [undefined, { reason: "conflict" }],
    });
  });

  it("is a conflict also for a single row", async () => {
    const { table } = wired(() => refusal("TransactionConflictException"));
    expect(await table.write([{ kind: "put", item: key }])).toEqual({
      ok: false,
      failures: [{ reason: "conflict" }],
    });
  });

  it("is a false condition before it is anything else", async () => {
    const { table } = wired(() => cancelled("ConditionalCheckFailed", "ThrottlingError"));
    expect(await table.write(two)).toEqual({
      ok: false,
      failures: [{ reason: "condition" }, undefined],
    });
  });

  it.each(["ThrottlingError", "ProvisionedThroughputExceeded"])(
    "asks to wait for %s",
    async (code) => {
      const { table } = wired(() => cancelled("None", code));
      await expect(table.write(two)).rejects.toMatchObject({
        code: "TABLE_UNAVAILABLE",
        detail: { retryAfterSeconds: 1 },
      });
    },
  );

  it("tells what the table found wrong with a row", async () => {
    const { table } = wired(() => cancelled("None", "ValidationError"));
    await expect(table.write(two)).rejects.toMatchObject({
      code: "INTERNAL",
      message: expect.stringContaining("because ValidationError"),
    });
  });

  it("does not vanish when the reasons are missing", async () => {
    const { table } = wired(() => refusal("TransactionCanceledException"));
    await expect(table.write(two)).rejects.toMatchObject({ code: "INTERNAL" });
  });
});

describe("an error", () => {
  it.each([
    ["ProvisionedThroughputExceededException", 400, "TABLE_UNAVAILABLE"],
    ["ThrottlingException", 400, "TABLE_UNAVAILABLE"],
    ["TransactionInProgressException", 400, "TABLE_UNAVAILABLE"],
    ["InternalServerError", 500, "TABLE_UNAVAILABLE"],
    ["ServiceUnavailable", 503, "TABLE_UNAVAILABLE"],
    ["ResourceNotFoundException", 400, "INTERNAL"],
    ["ValidationException", 400, "INTERNAL"],
    ["AccessDeniedException", 400, "INTERNAL"],
  ])("%s (%i) is %s", async (type, status, code) => {
    const { table } = wired(() => refusal(type, status));
    await expect(table.get(key)).rejects.toMatchObject({ code });
  });

  it("is raised for a value of a type that the table never writes", async () => {
    const { table } = wired(() => ({ Item: { pk: { S: "a" }, set: { SS: ["x"] } } }));
    await expect(table.get(key)).rejects.toMatchObject({ code: "INTERNAL" });
  });
});

describe("keys that were left over", () => {
  const asked = (body: Request["body"]) =>
    (body["RequestItems"] as Record<string, { Keys: { sk: { S: string } }[] }>)["gatehouse"]
      ?.Keys ?? [];

  it("are asked for again", async () => {
    const { table, requests } = wired(({ body }) => {
      const [first, ...rest] = asked(body);
      return {
        Responses: { gatehouse: [first] },
        UnprocessedKeys: rest.length === 0 ? {} : { gatehouse: { Keys: rest } },
      };
    });
    const keys = ["1", "2", "3"].map((sk) => ({ pk: "a", sk }));
    expect(await table.getMany(keys)).toEqual(keys);
    expect(requests.map(({ body }) => asked(body).length)).toEqual([3, 2, 1]);
  });

  it("are not asked for without end", async () => {
    const { table } = wired(({ body }) => ({
      Responses: {},
      UnprocessedKeys: { gatehouse: { Keys: asked(body) } },
    }));
    await expect(table.getMany([key])).rejects.toMatchObject({ code: "TABLE_UNAVAILABLE" });
  });
});
