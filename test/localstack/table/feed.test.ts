import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { DynamoDBRecord } from "aws-lambda";
import { afterEach, describe, expect, it, vi } from "vitest";
import { dynamoTable } from "#store/dynamo-table";
import { add } from "#store/expression";
import { dynoxideProgram } from "../../../localstack/table/dynoxide.ts";
import { changeFeed } from "../../../localstack/table/feed.ts";
import { openPositions } from "../../../localstack/table/positions.ts";
import type { ChangeSource } from "../../../localstack/table/source.ts";
import { offlineClient, startTable } from "../../../localstack/table/start.ts";

/** As long as a busy machine may take. */
const eventually = (check: () => unknown) => vi.waitFor(check, 15_000);

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "gatehouse-test-"));
  ends.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function offlineTable(dataDir: string) {
  const offline = await startTable({ dataDir });
  const client = offlineClient(offline.endpoint);
  ends.push(async () => {
    client.destroy();
    await offline.stop();
  });
  return { ...offline, table: dynamoTable(client, offline.name) };
}

const numbers = (records: readonly DynamoDBRecord[]) =>
  records.map(({ dynamodb }) => Number(dynamodb?.SequenceNumber));

/** A source of the records 1 to `count`, and what it was told of deliveries. */
function counted(count: number) {
  const delivered: (readonly string[])[] = [];
  const source: ChangeSource = {
    read: async (after, limit) => {
      const from = Number(after ?? 0);
      const size = Math.min(limit, count - from);
      if (size <= 0) return undefined;
      const records = Array.from({ length: size }, (_, place) => ({
        dynamodb: { SequenceNumber: String(from + place + 1) },
      }));
      return { records, position: String(from + size) };
    },
    delivered: (positions) => void delivered.push(positions),
    wait: () => new Promise((done) => setTimeout(done, 1)),
    close: () => undefined,
  };
  const path = join(folder(), "positions.db");
  const open = () => {
    const positions = openPositions(path);
    const feed = changeFeed(source, positions);
    const close = async () => {
      await feed.stop();
      positions.close();
    };
    ends.push(() => close().catch(() => undefined));
    return { feed, positions, close };
  };
  return { source, delivered, open };
}

describe("the changes of a table", () => {
  it("come in the order of the writes, with both images", async () => {
    const { table, onChanges } = await offlineTable(folder());
    const heard: DynamoDBRecord[] = [];
    onChanges(async (records) => void heard.push(...records));
    const key = { pk: "a", sk: "1" };
    await table.write([{ kind: "put", item: { ...key, n: 1, map: { list: [null, true] } } }]);
    await table.write([
      { kind: "update", key, changes: [add("n", 1)] },
      { kind: "put", item: { pk: "b", sk: "1" } },
    ]);
    await table.write([{ kind: "delete", key }]);
    await eventually(() => expect(heard).toHaveLength(4));
    const map = { M: { list: { L: [{ NULL: true }, { BOOL: true }] } } };
    const keys = { pk: { S: "a" }, sk: { S: "1" } };
    expect(heard[0]).toEqual({
      eventID: expect.any(String),
      eventName: "INSERT",
      eventVersion: "1.1",
      eventSource: "aws:dynamodb",
      eventSourceARN: expect.stringMatching(/^arn:aws:dynamodb:.*:table\/gatehouse\/stream\//),
      awsRegion: "us-east-1",
      dynamodb: {
        ApproximateCreationDateTime: expect.any(Number),
        Keys: keys,
        NewImage: { ...keys, n: { N: "1" }, map },
        SequenceNumber: expect.stringMatching(/^\d{21}$/),
        SizeBytes: expect.any(Number),
        StreamViewType: "NEW_AND_OLD_IMAGES",
      },
    });
    expect(heard[1]).toMatchObject({
      eventName: "MODIFY",
      dynamodb: { OldImage: { ...keys, n: { N: "1" }, map }, NewImage: { n: { N: "2" } } },
    });
    expect(heard[2]).toMatchObject({ eventName: "INSERT", dynamodb: { Keys: { pk: { S: "b" } } } });
    expect(heard[3]).toMatchObject({
      eventName: "REMOVE",
      dynamodb: { OldImage: { n: { N: "2" } } },
    });
    expect(heard[3]?.dynamodb).not.toHaveProperty("NewImage");
    expect(numbers(heard)).toEqual(numbers(heard).toSorted((a, b) => a - b));
    expect(new Set(heard.map(({ eventID }) => eventID)).size).toBe(4);
  });

  it("say nothing of a write that changed nothing", async () => {
    const { table, onChanges } = await offlineTable(folder());
    const heard: DynamoDBRecord[] = [];
    onChanges(async (records) => void heard.push(...records));
    const refused = { op: "exists", path: "pk" } as const;
    await table.write([{ kind: "put", item: { pk: "a", sk: "1" }, if: refused }]);
    await table.write([{ kind: "delete", key: { pk: "a", sk: "2" } }]);
    await table.write([{ kind: "put", item: { pk: "a", sk: "3" } }]);
    await eventually(() => expect(heard).toHaveLength(1));
    expect(heard[0]?.dynamodb?.Keys?.["sk"]?.S).toBe("3");
  });

  it("are dropped from the file once everybody has heard them, and not before", async () => {
    const dataDir = folder();
    const { table, onChanges } = await offlineTable(dataDir);
    const file = new DatabaseSync(join(dataDir, "table.db"), { readOnly: true });
    ends.push(() => file.close());
    const kept = () =>
      Number(file.prepare("SELECT count(*) AS n FROM _stream_records").get()?.["n"]);
    let slow = 0;
    const stopSlow = onChanges(async (records) => void (slow += records.length), { name: "slow" });
    await table.write([{ kind: "put", item: { pk: "a", sk: "first" } }]);
    await eventually(() => expect(slow).toBe(1));
    await stopSlow();

    let fast = 0;
    onChanges(async (records) => void (fast += records.length), { name: "fast" });
    for (let part = 0; part < 20; part += 1) {
      await table.write(
        Array.from({ length: 100 }, (_, n) => ({
          kind: "put" as const,
          item: { pk: "a", sk: String(part * 100 + n) },
        })),
      );
    }
    await eventually(() => expect(fast).toBe(2001));
    expect(kept()).toBe(2001);

    onChanges(async (records) => void (slow += records.length), { name: "slow" });
    await eventually(() => expect(slow).toBe(2001));
    await table.write([{ kind: "put", item: { pk: "a", sk: "last" } }]);
    await eventually(() => expect([slow, fast]).toEqual([2002, 2002]));
    expect(kept()).toBeLessThan(1100);
    expect(kept()).toBeGreaterThan(0);
  });
});

it("cost one step of an index, which fits the very question that dynoxide asks", async () => {
  const dataDir = folder();
  await offlineTable(dataDir);
  const question =
    "MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records WHERE table_name";
  const program = readFileSync(dynoxideProgram(process.platform, process.arch));
  expect(program.includes(question)).toBe(true);
  const file = new DatabaseSync(join(dataDir, "table.db"), { readOnly: true });
  ends.push(() => file.close());
  const plan = file.prepare(`EXPLAIN QUERY PLAN SELECT COALESCE(${question} = ?`).all("gatehouse");
  expect(plan.map(({ detail }) => detail)).toEqual([
    expect.stringContaining("USING COVERING INDEX _gatehouse_stream_sequence (table_name=?)"),
  ]);
});

describe("a listener", () => {
  it("hears everything once, in batches", async () => {
    const { feed } = counted(250).open();
    const batches: number[][] = [];
    feed.listen(async (records) => void batches.push(numbers(records)));
    await eventually(() => expect(batches.flat()).toHaveLength(250));
    expect(batches.map(({ length }) => length)).toEqual([100, 100, 50]);
    expect(batches.flat()).toEqual(Array.from({ length: 250 }, (_, n) => n + 1));
  });

  it("hears a batch again that it failed to take, and the reason is told", async () => {
    const { feed } = counted(3).open();
    const batches: number[][] = [];
    const errors: unknown[] = [];
    const onError = (error: unknown) => errors.push(error);
    const listener = async (records: readonly DynamoDBRecord[]) => {
      batches.push(numbers(records));
      if (batches.length < 3) throw new Error(`attempt ${batches.length}`);
    };
    feed.listen(listener, { batchSize: 2, onError });
    await eventually(() => expect(batches).toEqual([[1, 2], [1, 2], [1, 2], [3]]));
    expect(errors).toEqual([new Error("attempt 1"), new Error("attempt 2")]);
  });

  it("hears again from the first record it refused", async () => {
    const { feed } = counted(4).open();
    const batches: number[][] = [];
    feed.listen(async (records) => {
      batches.push(numbers(records));
      if (batches.length > 1) return undefined;
      return { batchItemFailures: [{ itemIdentifier: "4" }, { itemIdentifier: "3" }] };
    });
    await eventually(() =>
      expect(batches).toEqual([
        [1, 2, 3, 4],
        [3, 4],
      ]),
    );
  });

  it("hears all again when it refuses a record that it was not given", async () => {
    const { feed } = counted(2).open();
    const batches: number[][] = [];
    feed.listen(async (records) => {
      batches.push(numbers(records));
      return { batchItemFailures: batches.length === 1 ? [{ itemIdentifier: "77" }] : [] };
    });
    await eventually(() =>
      expect(batches).toEqual([
        [1, 2],
        [1, 2],
      ]),
    );
  });

  it("goes on where it was, under its name", async () => {
    const { open } = counted(6);
    const first = open();
    const heard: number[] = [];
    first.feed.listen(async (records) => void heard.push(...numbers(records)), { name: "one" });
    await eventually(() => expect(heard).toHaveLength(6));
    await first.close();

    const second = open();
    const others: number[] = [];
    const again: number[] = [];
    second.feed.listen(async (records) => void again.push(...numbers(records)), { name: "one" });
    second.feed.listen(async (records) => void others.push(...numbers(records)), { name: "two" });
    await eventually(() => expect(others).toHaveLength(6));
    expect(again).toEqual([]);
  });

  it("does not count as having heard what it was stopped in", async () => {
    const { open, delivered } = counted(2);
    const first = open();
    const stop = first.feed.listen(async () => Promise.reject(new Error("no")));
    await stop();
    expect(delivered).toEqual([]);
    const heard: number[] = [];
    first.feed.listen(async (records) => void heard.push(...numbers(records)));
    await eventually(() => expect(heard).toEqual([1, 2]));
    expect(delivered).toEqual([["2"]]);
  });

  it("has its name for itself", () => {
    const { feed } = counted(0).open();
    feed.listen(async () => undefined);
    expect(() => feed.listen(async () => undefined)).toThrow("listening already");
  });

  it("outlives a source that cannot be read for a while", async () => {
    const { source, open } = counted(1);
    const read = vi.spyOn(source, "read").mockRejectedValueOnce(new Error("not now"));
    const errors: unknown[] = [];
    const heard: number[] = [];
    open().feed.listen(async (records) => void heard.push(...numbers(records)), {
      onError: (error) => errors.push(error),
    });
    await eventually(() => expect(heard).toEqual([1]));
    expect(errors).toEqual([new Error("not now")]);
    read.mockRestore();
  });
});
