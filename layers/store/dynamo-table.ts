import {
  BatchGetItemCommand,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  type TransactWriteItem,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";
import { compileQuery, compileWrite } from "#store/compile";
import { refusedWrite, tableFault, unavailable } from "#store/dynamo-faults";
import { holds } from "#store/evaluate";
import { marshalItem, unmarshalItem } from "#store/marshal";
import { decodePageToken, encodePageToken } from "#store/page-token";
import type { Item, Key, Page, Query, Table, Write, WriteResult } from "#store/table";
import { checkKey, checkQuery, checkWrites, keyRange } from "#store/validate";

/** Keys of one BatchGetItem, and how often keys that were left over are asked for again. */
const batchSize = 100;
const batchRounds = 5;

/**
 * The table port over DynamoDB.
 *
 * The SDK sends a request again when the answer was lost, so a write must not be harmed by being
 * applied twice. Puts, deletes, `set` and `remove` without a condition are not. A condition is
 * (the second try would lose against the first and report a claim as taken that was won), and so
 * is `add`: those go as a transaction even when single, whose ClientRequestToken makes the second
 * try answer like the first. It costs twice the write units, and it is the only sound answer, save
 * for an update whose caller says that it is `repeatable`.
 */
export function dynamoTable(client: DynamoDBClient, name: string): Table {
  const get = (key: Key, consistent: boolean) => getRow(client, name, key, consistent);
  return {
    get: (key, options) => get(key, options?.consistent === true),
    getMany: (keys) => getRows(client, name, keys),
    query: (query) => queryRows(client, name, query),
    write: async (writes) => {
      checkWrites(writes);
      const [first, ...others] = writes;
      if (first === undefined) return { ok: true };
      if (others.length > 0) return transact(client, name, writes);
      if (first.kind === "check") return checkRow(first, await get(first.key, true));
      return repeatable(first) ? writeRow(client, name, first) : transact(client, name, writes);
    },
  };
}

async function getRow(
  client: DynamoDBClient,
  name: string,
  key: Key,
  consistent: boolean,
): Promise<Item | undefined> {
  checkKey(key);
  const command = new GetItemCommand({
    TableName: name,
    Key: marshalItem({ pk: key.pk, sk: key.sk }),
    ConsistentRead: consistent,
  });
  const { Item } = await client.send(command).catch(rethrow);
  return Item === undefined ? undefined : unmarshalItem(Item);
}

async function getRows(
  client: DynamoDBClient,
  name: string,
  keys: readonly Key[],
): Promise<readonly (Item | undefined)[]> {
  keys.forEach(checkKey);
  const wanted = [...new Map(keys.map((key) => [rowId(key), key])).values()];
  const chunks = Array.from({ length: Math.ceil(wanted.length / batchSize) }, (_, index) =>
    wanted.slice(index * batchSize, (index + 1) * batchSize),
  );
  const found = await Promise.all(chunks.map((chunk) => getChunk(client, name, chunk)));
  const rows = new Map(found.flat().map((item) => [rowId(item), item]));
  return keys.map((key) => rows.get(rowId(key)));
}

async function getChunk(
  client: DynamoDBClient,
  name: string,
  keys: readonly Key[],
): Promise<readonly Item[]> {
  const items: Item[] = [];
  let left = keys.map(({ pk, sk }) => marshalItem({ pk, sk })) as Record<string, never>[];
  for (let round = 0; round < batchRounds; round += 1) {
    const RequestItems = { [name]: { Keys: left, ConsistentRead: true } };
    const answer = await client.send(new BatchGetItemCommand({ RequestItems })).catch(rethrow);
    items.push(...(answer.Responses?.[name] ?? []).map(unmarshalItem));
    left = (answer.UnprocessedKeys?.[name]?.Keys ?? []) as Record<string, never>[];
    if (left.length === 0) return items;
  }
  throw unavailable(`${left.length} keys were left over`);
}

async function queryRows(client: DynamoDBClient, name: string, query: Query): Promise<Page> {
  checkQuery(query);
  const range = keyRange(query);
  const start = query.after === undefined ? undefined : decodePageToken(query, query.after);
  if (range === undefined) return { items: [] };
  const command = new QueryCommand({
    TableName: name,
    ...(query.index !== undefined && { IndexName: query.index }),
    ...compileQuery(query, range),
    ...(start !== undefined && { ExclusiveStartKey: marshalItem(start) }),
    ...(query.limit !== undefined && { Limit: query.limit }),
    ScanIndexForward: query.reverse !== true,
    ConsistentRead: query.consistent === true,
  });
  const { Items = [], LastEvaluatedKey } = await client.send(command).catch(rethrow);
  const items = Items.map(unmarshalItem);
  if (LastEvaluatedKey === undefined) return { items };
  return { items, next: encodePageToken(query, unmarshalItem(LastEvaluatedKey)) };
}

/** Whether applying the write twice is the same as once. */
function repeatable(write: Exclude<Write, { kind: "check" }>): boolean {
  if (write.if !== undefined) return write.kind === "update" && write.repeatable === true;
  return write.kind !== "update" || write.changes.every(({ op }) => op !== "add");
}

async function writeRow(
  client: DynamoDBClient,
  name: string,
  write: Exclude<Write, { kind: "check" }>,
): Promise<WriteResult> {
  const { Put, Update, Delete } = transactItem(name, write);
  try {
    if (Put !== undefined) await client.send(new PutItemCommand(Put));
    if (Update !== undefined) await client.send(new UpdateItemCommand(Update));
    if (Delete !== undefined) await client.send(new DeleteItemCommand(Delete));
    return { ok: true };
  } catch (error) {
    return refusedWrite(error);
  }
}

async function transact(
  client: DynamoDBClient,
  name: string,
  writes: readonly Write[],
): Promise<WriteResult> {
  const TransactItems = writes.map((write) => transactItem(name, write));
  try {
    // The SDK makes the ClientRequestToken when it builds the request, before its first try.
    await client.send(new TransactWriteItemsCommand({ TransactItems }));
    return { ok: true };
  } catch (error) {
    return refusedWrite(error);
  }
}

function transactItem(name: string, write: Write): TransactWriteItem {
  const common = {
    TableName: name,
    ...compileWrite(
      write.kind === "update" ? { if: write.if, changes: write.changes } : { if: write.if },
    ),
    ReturnValuesOnConditionCheckFailure: "ALL_OLD" as const,
  };
  if (write.kind === "put") return { Put: { ...common, Item: marshalItem(write.item) } };
  const Key = marshalItem({ pk: write.key.pk, sk: write.key.sk });
  const { UpdateExpression = "", ConditionExpression = "", ...rest } = common;
  const condition = ConditionExpression === "" ? {} : { ConditionExpression };
  if (write.kind === "update") return { Update: { ...rest, ...condition, UpdateExpression, Key } };
  if (write.kind === "delete") return { Delete: { ...rest, ...condition, Key } };
  return { ConditionCheck: { ...rest, ConditionExpression, Key } };
}

/** A lone check changes nothing, so a consistent read answers it at half the price. */
function checkRow(write: Extract<Write, { kind: "check" }>, item: Item | undefined): WriteResult {
  if (holds(write.if, item)) return { ok: true };
  const failure = { reason: "condition", ...(item !== undefined && { item }) } as const;
  return { ok: false, failures: [failure] };
}

function rowId(row: Item | Key): string {
  return JSON.stringify([row.pk, row.sk]);
}

function rethrow(error: unknown): never {
  throw tableFault(error);
}
