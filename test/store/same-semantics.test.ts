import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dynamoTable } from "#store/dynamo-table";
import { marshalItem, unmarshalItem } from "#store/marshal";
import { memoryTable } from "#store/memory-table";
import type { Change, Condition, Item, Table, Value, Write } from "#store/table";
import { compareText } from "#store/validate";
import { offlineClient, startTable } from "../../localstack/table/start.ts";

const name = fc.constantFrom("a", "b", "name", "size", "a.b", "map");
const path = fc.oneof(name, fc.tuple(fc.constant("map"), name));
const scalar: fc.Arbitrary<Value> = fc.oneof(
  fc.integer({ min: -3, max: 12 }),
  fc.constantFrom("", "a", "ab", "b", "10", "9", "é", "\uffee", "🚪"),
  fc.boolean(),
  fc.constant(null),
);
const value: fc.Arbitrary<Value> = fc.oneof(
  { weight: 4, arbitrary: scalar },
  fc.array(scalar, { maxLength: 2 }),
  fc.dictionary(name, scalar, { maxKeys: 2 }),
);
const ordered = fc.oneof(fc.integer({ min: -3, max: 12 }), fc.constantFrom("a", "ab", "9", "🚪"));
const { condition } = fc.letrec<{ condition: Condition }>((tie) => ({
  condition: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.record({ op: fc.constantFrom("exists", "absent"), path }),
    fc.record({ op: fc.constantFrom("eq", "ne"), path, value }),
    fc.record({ op: fc.constantFrom("lt", "le", "gt", "ge"), path, value: ordered }),
    fc.record({ op: fc.constant("beginsWith"), path, value: fc.constantFrom("a", "é") }),
    fc.record({
      op: fc.constantFrom("all", "any"),
      of: fc.array(tie("condition"), { maxLength: 3 }),
    }),
    fc.record({ op: fc.constant("not"), of: tie("condition") }),
  ) as fc.Arbitrary<Condition>,
}));
const change = fc.oneof(
  fc.record({ op: fc.constantFrom("set", "setIfAbsent"), path, value }),
  fc.record({ op: fc.constant("add"), path, value: fc.integer({ min: -5, max: 5 }) }),
  // Not out of maps: dynoxide forgives a missing map, DynamoDB and the memory table do not.
  fc.record({ op: fc.constant("remove"), path: name }),
) as fc.Arbitrary<Change>;

/** Writes to four rows of one partition, some of them in one transaction. */
const rows = ["1", "2", "3", "4"];
const content = fc.dictionary(name, value, { maxKeys: 4 });
const kind = fc.constantFrom("put", "update", "update", "delete", "check");
const step = fc.record({
  kind,
  content,
  changes: fc.array(change, { minLength: 1, maxLength: 3 }),
});
const history = fc.array(
  fc.uniqueArray(
    fc.record({ sk: fc.constantFrom(...rows), step, if: fc.option(condition, { nil: undefined }) }),
    { selector: ({ sk }) => sk, minLength: 1, maxLength: 3 },
  ),
  { minLength: 1, maxLength: 12 },
);
type Step = typeof history extends fc.Arbitrary<(infer W)[][]> ? W : never;

function toWrite(pk: string, { sk, step, if: guard }: Step): Write {
  const key = { pk, sk };
  const guarded = guard === undefined ? {} : { if: guard };
  if (step.kind === "put") return { kind: "put", item: { ...step.content, ...key }, ...guarded };
  if (step.kind === "update") return { kind: "update", key, changes: step.changes, ...guarded };
  if (step.kind === "delete") return { kind: "delete", key, ...guarded };
  return { kind: "check", key, if: guard ?? { op: "exists", path: "a" } };
}

describe("a table in memory beside a real one", () => {
  let real: Table;
  let stop: () => Promise<void>;
  let partitions = 0;
  beforeAll(async () => {
    const offline = await startTable();
    const client = offlineClient(offline.endpoint);
    real = dynamoTable(client, offline.name);
    stop = async () => {
      client.destroy();
      await offline.stop();
    };
  });
  afterAll(async () => stop());

  it("answers every write alike and holds the same rows after it", async () => {
    await fc.assert(
      fc.asyncProperty(history, async (writes) => {
        partitions += 1;
        const pk = `TEST#${partitions}`;
        const memory = memoryTable();
        for (const each of writes) {
          const write = each.map((one) => toWrite(pk, one));
          expect(await outcome(memory, write)).toEqual(await outcome(real, write));
        }
        const found = await real.query({ pk, consistent: true });
        expect(memory.items()).toEqual(found.items);
      }),
      { numRuns: 60 },
    );
  });
});

/** A refusal by a Fault counts by its code: the words are DynamoDB's own. */
async function outcome(table: Table, writes: readonly Write[]): Promise<unknown> {
  try {
    return await table.write(writes);
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

it("brings every row through the wire format unchanged", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), value), (item: Item) => {
      expect(unmarshalItem(marshalItem(item))).toEqual(item);
    }),
  );
});

it("orders text by its UTF-8 bytes", () => {
  const text = fc.string({ unit: "binary" });
  fc.assert(
    fc.property(text, text, (a, b) => {
      const expected = Buffer.compare(Buffer.from(a), Buffer.from(b));
      expect(Math.sign(compareText(a, b))).toBe(expected);
    }),
  );
});
