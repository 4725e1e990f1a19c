import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CreateTableCommand,
  DynamoDBClient,
  ResourceInUseException,
  UpdateTimeToLiveCommand,
} from "@aws-sdk/client-dynamodb";
import { DynamoDBStreamsClient } from "@aws-sdk/client-dynamodb-streams";
import { openCapture } from "./capture.ts";
import { readTableDefinition, type TableDefinition } from "./definition.ts";
import { dynoxideProgram, startDynoxide } from "./dynoxide.ts";
import { type ChangeFeed, changeFeed } from "./feed.ts";
import { openPositions } from "./positions.ts";
import { openStream } from "./stream.ts";

export interface TableOptions {
  /** Where the table is kept. Absent: in memory, gone with this process. */
  readonly dataDir?: string;
  /** Of the DynamoDB endpoint; absent: a free one. */
  readonly port?: number;
  /** The table's name, default "gatehouse". */
  readonly name?: string;
  /** Absent: read out of serverless.yml. */
  readonly definition?: TableDefinition;
  /** Another DynamoDB to use (GATEHOUSE_TABLE_ENDPOINT); its own stream tells of changes. */
  readonly endpoint?: string;
}

/** The offline table. */
export interface OfflineTable {
  readonly endpoint: string;
  readonly name: string;
  /** Tells a listener of every change, in order and at least once, also of those while it was away. */
  readonly onChanges: ChangeFeed["listen"];
  /** Ends deliveries, then the server. */
  readonly stop: () => Promise<void>;
}

/**
 * Starts a DynamoDB with the table in it. Faults: TABLE_UNAVAILABLE when there is none for this
 * platform or it does not start, IN_USE when another offline cloud uses the folder.
 */
export async function startTable(options: TableOptions = {}): Promise<OfflineTable> {
  const { name = "gatehouse", endpoint } = options;
  const definition =
    options.definition ??
    readTableDefinition(join(import.meta.dirname, "..", "..", "serverless.yml"));
  const scratch = options.dataDir === undefined ? scratchFolder() : undefined;
  const folder = options.dataDir ?? scratch ?? "";
  mkdirSync(folder, { recursive: true });
  const positions = openPositions(join(folder, "positions.db"));
  const cleanUps: (() => unknown)[] = [
    () => scratch !== undefined && rmSync(scratch, { recursive: true, force: true }),
    () => positions.close(),
  ];
  const stop = async () => {
    for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
  };
  try {
    const file = join(folder, "table.db");
    const server = endpoint === undefined ? await serve(file, options.port, scratch) : { endpoint };
    if ("stop" in server) cleanUps.push(server.stop);
    const client = offlineClient(server.endpoint);
    cleanUps.push(() => client.destroy());
    await createTable(client, name, definition);
    const source =
      endpoint === undefined
        ? openCapture(file, name)
        : await openStream(client, new DynamoDBStreamsClient(offlineConfig(endpoint)), name);
    const feed = changeFeed(source, positions);
    cleanUps.push(feed.stop);
    return { endpoint: server.endpoint, name, onChanges: feed.listen, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A client for an offline endpoint. */
export function offlineClient(endpoint: string): DynamoDBClient {
  return new DynamoDBClient(offlineConfig(endpoint));
}

/** Credentials are asked for, and not looked at. */
function offlineConfig(endpoint: string) {
  const credentials = { accessKeyId: "gatehouse", secretAccessKey: "gatehouse" };
  return { endpoint, region: "us-east-1", credentials };
}

async function serve(file: string, port: number | undefined, scratch: string | undefined) {
  return await startDynoxide({
    program: dynoxideProgram(process.platform, process.arch),
    file,
    ...(port !== undefined && { port }),
    ...(scratch !== undefined && { scratch }),
  });
}

async function createTable(
  client: DynamoDBClient,
  name: string,
  { create, expires }: TableDefinition,
): Promise<void> {
  try {
    await client.send(new CreateTableCommand({ ...create, TableName: name }));
  } catch (error) {
    if (error instanceof ResourceInUseException) return;
    throw error;
  }
  if (expires === undefined) return;
  const TimeToLiveSpecification = { AttributeName: expires, Enabled: true };
  await client.send(new UpdateTimeToLiveCommand({ TableName: name, TimeToLiveSpecification }));
}

/** dynoxide's own in-memory mode has no file to read changes from; a file in memory is as fast. */
function scratchFolder(): string {
  const memory = "/dev/shm";
  const inMemory = statSync(memory, { throwIfNoEntry: false })?.isDirectory() === true;
  return mkdtempSync(join(inMemory ? memory : tmpdir(), "gatehouse-table-"));
}
