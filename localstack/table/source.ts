import type { DynamoDBRecord } from "aws-lambda";

/** Records in the order of their writes, and the position to ask after next time. */
export interface ChangeBatch {
  readonly records: readonly DynamoDBRecord[];
  readonly position: string;
}

/** Where a table's changes come from. Positions are opaque and survive a restart. */
export interface ChangeSource {
  /** The next records after a position (absent: the oldest there are); none: `undefined`. */
  read(after: string | undefined, limit: number): Promise<ChangeBatch | undefined>;
  /** Tells how far every listener has heard, so that older records may go. */
  delivered(positions: readonly string[]): void;
  /** Waits until there may be more; `found`: the last read brought something. Ends with `signal`. */
  wait(found: boolean, signal: AbortSignal): Promise<void>;
  close(): void;
}
