import { DescribeTableCommand, type DynamoDBClient } from "@aws-sdk/client-dynamodb";
import {
  type _Record,
  DescribeStreamCommand,
  type DynamoDBStreamsClient,
  ExpiredIteratorException,
  GetRecordsCommand,
  GetShardIteratorCommand,
  type Shard,
  TrimmedDataAccessException,
} from "@aws-sdk/client-dynamodb-streams";
import type { DynamoDBRecord, StreamRecord } from "aws-lambda";
import { Fault } from "#domain/faults";
import { pause } from "./pause.ts";
import type { ChangeBatch, ChangeSource } from "./source.ts";

/** Per shard the last sequence number that was read, or that its end was reached. */
type Reached = Readonly<Record<string, string>>;
const end = "end";

interface Stream {
  readonly client: DynamoDBStreamsClient;
  readonly arn: string;
  /** Iterators of the shards being read; they go stale after 15 minutes and are made again. */
  readonly iterators: Map<string, string>;
}

/**
 * The changes of a table on another DynamoDB, through its own stream. Within a shard, and from a
 * shard to those it was split into, the order is that of the writes; a row never changes shards
 * otherwise. Throws TABLE_UNAVAILABLE when the table has no stream.
 */
export async function openStream(
  dynamo: DynamoDBClient,
  streams: DynamoDBStreamsClient,
  table: string,
): Promise<ChangeSource> {
  const { Table } = await dynamo.send(new DescribeTableCommand({ TableName: table }));
  if (Table?.LatestStreamArn === undefined) {
    throw new Fault("TABLE_UNAVAILABLE", `The table ${table} has no stream`);
  }
  const stream = {
    client: streams,
    arn: Table.LatestStreamArn,
    iterators: new Map<string, string>(),
  };
  return {
    read: (after, limit) => readStream(stream, after, limit),
    delivered: () => undefined,
    wait: (found, signal) => pause(found ? 5 : 100, signal),
    close: () => streams.destroy(),
  };
}

async function readStream(
  stream: Stream,
  after: string | undefined,
  limit: number,
): Promise<ChangeBatch | undefined> {
  let reached = JSON.parse(after ?? "{}") as Reached;
  const shards = await listShards(stream);
  for (const shard of shards) {
    if (!readable(shard, shards, reached)) continue;
    const { records, position } = await readShard(stream, shard, reached[idOf(shard)], limit);
    if (position !== undefined) reached = { ...reached, [idOf(shard)]: position };
    if (records.length > 0) return { records, position: JSON.stringify(known(shards, reached)) };
  }
  const position = JSON.stringify(known(shards, reached));
  return position === (after ?? "{}") ? undefined : { records: [], position };
}

/** A parent comes first, while there is one: that keeps the changes of a row in order. */
function readable(shard: Shard, shards: readonly Shard[], reached: Reached): boolean {
  const parent = shards.find(({ ShardId }) => ShardId === shard.ParentShardId);
  return reached[idOf(shard)] !== end && (parent === undefined || reached[idOf(parent)] === end);
}

async function listShards(stream: Stream): Promise<readonly Shard[]> {
  const shards: Shard[] = [];
  let ExclusiveStartShardId: string | undefined;
  do {
    const command = new DescribeStreamCommand({
      StreamArn: stream.arn,
      ...(ExclusiveStartShardId !== undefined && { ExclusiveStartShardId }),
    });
    const { StreamDescription } = await stream.client.send(command);
    shards.push(...(StreamDescription?.Shards ?? []));
    ExclusiveStartShardId = StreamDescription?.LastEvaluatedShardId;
  } while (ExclusiveStartShardId !== undefined);
  return shards;
}

async function readShard(
  stream: Stream,
  shard: Shard,
  position: string | undefined,
  limit: number,
): Promise<{ records: readonly DynamoDBRecord[]; position: string | undefined }> {
  const id = idOf(shard);
  try {
    const ShardIterator = stream.iterators.get(id) ?? (await openShard(stream, id, position));
    const answer = await stream.client.send(new GetRecordsCommand({ ShardIterator, Limit: limit }));
    const records = (answer.Records ?? []).map((record) => toRecord(record, stream.arn));
    if (answer.NextShardIterator === undefined) stream.iterators.delete(id);
    else stream.iterators.set(id, answer.NextShardIterator);
    const last = records.at(-1)?.dynamodb?.SequenceNumber ?? position;
    return { records, position: answer.NextShardIterator === undefined ? end : last };
  } catch (error) {
    stream.iterators.delete(id);
    if (error instanceof ExpiredIteratorException) return { records: [], position };
    // What was asked for is older than the stream keeps: go on with the oldest there is.
    if (!(error instanceof TrimmedDataAccessException) || position === undefined) throw error;
    return readShard(stream, shard, undefined, limit);
  }
}

async function openShard(
  stream: Stream,
  ShardId: string,
  position: string | undefined,
): Promise<string | undefined> {
  const from =
    position === undefined
      ? { ShardIteratorType: "TRIM_HORIZON" as const }
      : { ShardIteratorType: "AFTER_SEQUENCE_NUMBER" as const, SequenceNumber: position };
  const command = new GetShardIteratorCommand({ StreamArn: stream.arn, ShardId, ...from });
  return (await stream.client.send(command)).ShardIterator;
}

/** Shards that the stream no longer has are of no use to anyone. */
function known(shards: readonly Shard[], reached: Reached): Reached {
  const ids = new Set(shards.map(idOf));
  return Object.fromEntries(Object.entries(reached).filter(([id]) => ids.has(id)));
}

function idOf({ ShardId = "" }: Shard): string {
  return ShardId;
}

function toRecord({ dynamodb, ...record }: _Record, arn: string): DynamoDBRecord {
  const created = dynamodb?.ApproximateCreationDateTime;
  const { ApproximateCreationDateTime: _, ...images } = dynamodb ?? {};
  return {
    ...(record as Omit<DynamoDBRecord, "dynamodb">),
    eventSourceARN: arn,
    dynamodb: {
      ...(images as StreamRecord),
      ...(created !== undefined && { ApproximateCreationDateTime: created.getTime() / 1000 }),
    },
  };
}
