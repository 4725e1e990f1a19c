import { createHash } from "node:crypto";
import type { DynamoDBRecord } from "aws-lambda";
import { Lane, type LaneOptions } from "./lane.ts";
import { compilePattern } from "./pattern.ts";

/** Feeds a table's changes to one function. */
export interface ChangeTrigger {
  /**
   * Takes changes in stream order. Resolves when every one was handled or dead-lettered; only then
   * may the source move on. A rejection means: offer them again.
   */
  handle(records: readonly DynamoDBRecord[]): Promise<void>;
  settled(): Promise<void>;
}

function numberOf(record: DynamoDBRecord, hashKey: string): number {
  const key = JSON.stringify(record.dynamodb?.Keys?.[hashKey] ?? null);
  return createHash("sha256").update(key).digest().readUInt32BE(0);
}

/**
 * Spreads changes over `lanes` queues by partition key: changes of one key keep their order and
 * never run side by side, a key that fails holds up only its lane. Changes that the function's
 * filters leave out count as handled.
 */
export function createChangeTrigger(options: LaneOptions, hashKey: string): ChangeTrigger {
  const filters = options.model.filters?.map(compilePattern);
  const isWanted = (record: DynamoDBRecord): boolean =>
    filters === undefined || filters.some((matches) => matches(record));
  const first = new Lane(options);
  const others = Array.from({ length: options.model.lanes - 1 }, () => new Lane(options));
  const lanes = [first, ...others];
  const laneOf = (record: DynamoDBRecord): Lane =>
    lanes[numberOf(record, hashKey) % lanes.length] ?? first;
  return {
    async handle(records) {
      const wanted = records.filter(isWanted);
      await Promise.all(wanted.map((record) => laneOf(record).add(record)));
    },
    async settled() {
      await Promise.all(lanes.map((lane) => lane.settled()));
    },
  };
}
