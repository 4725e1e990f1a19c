import { DatabaseSync } from "node:sqlite";
import type { AttributeValue, DynamoDBRecord, StreamRecord } from "aws-lambda";
import { pause } from "./pause.ts";
import type { ChangeBatch, ChangeSource } from "./source.ts";
import { watchFile } from "./watch.ts";

/** Delivered records are removed in lumps of this many; a lump takes a few milliseconds. */
const trimSize = 500;

interface StreamRow {
  readonly id: number;
  readonly event_name: "INSERT" | "MODIFY" | "REMOVE";
  readonly keys_json: string;
  readonly new_image: string | null;
  readonly old_image: string | null;
  readonly created_at: number;
}

type Image = Record<string, AttributeValue>;

/**
 * The changes of a dynoxide table, read from its SQLite file. dynoxide writes a stream record in
 * the same SQLite transaction as the row and numbers it in commit order, so nothing is lost and
 * nothing is out of order. Two things are done to the file from outside:
 *
 * - An index. For each record dynoxide asks for the highest sequence number so far by reading
 *   every record of the table (`MAX(CAST(sequence_number AS INTEGER))`), which makes writes slower
 *   the longer the stream is. With an index on that very expression it is one step.
 *   The plus sign below keeps SQLite from reading new records through it: that would be all records
 *   of the table, sorted, at every look.
 * - Delivered records are removed, in small lumps and only when the file is free at that moment:
 *   dynoxide begins its transactions with BEGIN IMMEDIATE and waits up to 5 s for the lock. The
 *   newest record stays, because the next number is made from it.
 */
export function openCapture(file: string, table: string): ChangeSource {
  const database = new DatabaseSync(file, { timeout: 5000 });
  database.exec(`
    CREATE INDEX IF NOT EXISTS _gatehouse_stream_sequence
      ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
    PRAGMA synchronous = OFF;
    PRAGMA busy_timeout = 0;
  `);
  const newer = database.prepare(
    `SELECT id, event_name, keys_json, new_image, old_image, created_at FROM _stream_records
     WHERE id > ? AND +table_name = ? ORDER BY id LIMIT ?`,
  );
  const oldest = database.prepare("SELECT MIN(id) AS id FROM _stream_records");
  const trim = database.prepare(
    "DELETE FROM _stream_records WHERE id < ? AND id < (SELECT MAX(id) FROM _stream_records)",
  );
  const read = (after: string | undefined, limit: number): ChangeBatch | undefined => {
    const rows = newer.all(Number(after ?? 0), table, limit) as unknown as readonly StreamRow[];
    const last = rows.at(-1);
    if (last === undefined) return undefined;
    return { records: rows.map((row) => toRecord(row, table)), position: String(last.id) };
  };
  const removeDelivered = (upTo: number) => {
    const first = Number(oldest.get()?.["id"] ?? upTo);
    if (upTo - first >= trimSize) trim.run(Math.min(upTo, first + trimSize));
  };
  const log = watchFile(`${file}-wal`);
  return {
    read: async (after, limit) => ifFree(() => read(after, limit)),
    delivered: (positions) => {
      ifFree(() => removeDelivered(Math.min(...positions.map(Number))));
    },
    wait: async (found, signal) => (found ? pause(1, signal) : log.wait(signal)),
    close: () => {
      log.close();
      database.close();
    },
  };
}

/** Another moment will do: a busy file is never waited for, that would stop the whole process. */
function ifFree<T>(step: () => T): T | undefined {
  try {
    return step();
  } catch (error) {
    if (error instanceof Error && /database (table )?is locked/.test(error.message))
      return undefined;
    throw error;
  }
}

function toRecord(row: StreamRow, table: string): DynamoDBRecord {
  const sequence = String(row.id).padStart(21, "0");
  const dynamodb: StreamRecord = {
    ApproximateCreationDateTime: row.created_at,
    Keys: JSON.parse(row.keys_json) as Image,
    SequenceNumber: sequence,
    SizeBytes: (row.new_image?.length ?? 0) + (row.old_image?.length ?? 0),
    StreamViewType: "NEW_AND_OLD_IMAGES",
  };
  addImage(dynamodb, "NewImage", row.new_image);
  addImage(dynamodb, "OldImage", row.old_image);
  return {
    eventID: `${table}-${sequence}`,
    eventName: row.event_name,
    eventVersion: "1.1",
    eventSource: "aws:dynamodb",
    awsRegion: "us-east-1",
    eventSourceARN: `arn:aws:dynamodb:us-east-1:000000000000:table/${table}/stream/offline`,
    dynamodb,
  };
}

/** Parsed when it is first looked at: most records are passed over by their keys alone. */
function addImage(record: StreamRecord, name: "NewImage" | "OldImage", text: string | null): void {
  if (text === null) return;
  let image: Image | undefined;
  const get = () => (image ??= JSON.parse(text) as Image);
  Object.defineProperty(record, name, { enumerable: true, get });
}
