import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { DescribeTableCommand, DescribeTimeToLiveCommand } from "@aws-sdk/client-dynamodb";
import type { DynamoDBRecord } from "aws-lambda";
import { afterEach, describe, expect, it, vi } from "vitest";
import { dynamoTable } from "#store/dynamo-table";
import { dynoxideProgram, startDynoxide } from "../../../localstack/table/dynoxide.ts";
import {
  type OfflineTable,
  offlineClient,
  startTable,
  type TableOptions,
} from "../../../localstack/table/start.ts";

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

async function started(options?: TableOptions): Promise<OfflineTable> {
  const offline = await startTable(options);
  ends.push(offline.stop);
  return offline;
}

function clientOf({ endpoint }: { readonly endpoint: string }) {
  const client = offlineClient(endpoint);
  ends.push(() => client.destroy());
  return client;
}

const tableOf = (offline: OfflineTable) => dynamoTable(clientOf(offline), offline.name);
const row = { pk: "a", sk: "1", n: 1 };

async function answers(endpoint: string): Promise<boolean> {
  const { hostname, port } = new URL(endpoint);
  const socket = connect(Number(port), hostname);
  const [event] = await Promise.race([
    once(socket, "connect").then(() => ["yes"]),
    once(socket, "error").then(() => ["no"]),
  ]).catch(() => ["no"]);
  socket.destroy();
  return event === "yes";
}

/** Processes come and go while they are looked at; one that is gone has no command line. */
function commandOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return [];
  }
}

/** The processes (server and guard) that were started with an argument that begins so. */
function processesOf(argument: string): { pid: number; command: string[] }[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ pid: Number(name), command: commandOf(name) }))
    .filter(({ command }) => command.some((each) => each.startsWith(argument)));
}

/** The folder in which a server keeps what is only in memory, by its port. */
function scratchOf(endpoint: string): string {
  const port = new URL(endpoint).port;
  const command =
    processesOf(port).find((each) => each.command.includes("--db-path"))?.command ?? [];
  return dirname(command[command.indexOf("--db-path") + 1] ?? "");
}

function cloud(...args: string[]): { process: ChildProcess; lines: string[] } {
  const script = join(import.meta.dirname, "cloud.ts");
  const child = spawn(process.execPath, [script, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  ends.push(() => child.kill("SIGKILL"));
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  return { process: child, lines };
}

describe("the offline table", () => {
  it("is the one of serverless.yml", async () => {
    const offline = await started();
    const { Table } = await clientOf(offline).send(
      new DescribeTableCommand({ TableName: offline.name }),
    );
    expect(Table?.KeySchema?.map(({ AttributeName }) => AttributeName)).toEqual(["pk", "sk"]);
    expect(Table?.GlobalSecondaryIndexes?.map(({ IndexName }) => IndexName)).toEqual([
      "gsi1",
      "gsi2",
      "gsi3",
    ]);
    expect(Table?.StreamSpecification).toEqual({
      StreamEnabled: true,
      StreamViewType: "NEW_AND_OLD_IMAGES",
    });
    const { TimeToLiveDescription } = await clientOf(offline).send(
      new DescribeTimeToLiveCommand({ TableName: offline.name }),
    );
    expect(TimeToLiveDescription?.AttributeName).toBe("expiresAt");
  });

  it("keeps its rows when it is stopped and started", async () => {
    const dataDir = folder();
    const before = await started({ dataDir });
    await tableOf(before).write([{ kind: "put", item: row }]);
    await before.stop();
    await eventually(() => expect(processesOf(dataDir)).toEqual([]));
    // A process that ends shows no command line before its sockets are closed.
    await eventually(async () => expect(await answers(before.endpoint)).toBe(false));
    expect(await tableOf(await started({ dataDir })).get(row)).toEqual(row);
  });

  it("leaves nothing behind when it was in memory", async () => {
    const offline = await started();
    const scratch = scratchOf(offline.endpoint);
    expect(existsSync(join(scratch, "table.db"))).toBe(true);
    await offline.stop();
    expect(existsSync(scratch)).toBe(false);
  });

  it("is refused to a second offline cloud on the same folder", async () => {
    const dataDir = folder();
    const first = await started({ dataDir });
    await expect(startTable({ dataDir })).rejects.toMatchObject({ code: "IN_USE" });
    expect(await tableOf(first).get(row)).toBeUndefined();
  });

  it("listens on the port asked for", async () => {
    const port = Number(new URL((await started()).endpoint).port);
    await ends.pop()?.();
    expect((await started({ port })).endpoint).toBe(`http://127.0.0.1:${port}`);
  });

  it("comes back with its rows when its server is killed", async () => {
    const dataDir = folder();
    const offline = await started({ dataDir });
    const heard: DynamoDBRecord[] = [];
    offline.onChanges(async (records) => void heard.push(...records));
    await tableOf(offline).write([{ kind: "put", item: row }]);
    const servers = () =>
      processesOf(dataDir).flatMap(({ pid, command }) =>
        command[0]?.endsWith("/dynoxide") === true ? [pid] : [],
      );
    const [killed = 0, ...others] = servers();
    expect(others).toEqual([]);
    process.kill(killed, "SIGKILL");
    await eventually(() => {
      expect(servers()).toHaveLength(1);
      expect(servers()).not.toContain(killed);
    });
    await eventually(async () => expect(await answers(offline.endpoint)).toBe(true));
    expect(await tableOf(offline).get(row)).toEqual(row);
    await tableOf(offline).write([{ kind: "delete", key: row }]);
    await eventually(() =>
      expect(heard.map(({ eventName }) => eventName)).toEqual(["INSERT", "REMOVE"]),
    );
  });

  it("goes down with a process that is killed, and its memory with it", async () => {
    const { process: child, lines } = cloud();
    await eventually(() => expect(lines[0]).toMatch(/^endpoint /));
    const endpoint = lines[0]?.split(" ")[1] ?? "";
    const scratch = scratchOf(endpoint);
    expect(existsSync(join(scratch, "table.db"))).toBe(true);
    child.kill("SIGKILL");
    await eventually(() => expect(processesOf(scratch)).toEqual([]));
    // A process that ends shows no command line before its sockets are closed.
    await eventually(async () => expect(await answers(endpoint)).toBe(false));
    expect(existsSync(scratch)).toBe(false);
  });

  it("loses neither rows nor changes when its process is killed while it writes", async () => {
    const dataDir = folder();
    const { process: child, lines } = cloud(dataDir, "0");
    await eventually(() => expect(lines.length).toBeGreaterThan(300));
    child.kill("SIGKILL");
    await once(child, "close");
    const numbers = (word: string) =>
      lines.filter((line) => line.startsWith(word)).map((line) => Number(line.split(" ")[1]));
    const wrote = numbers("wrote");
    const heard = numbers("heard");
    expect(heard).toEqual(heard.toSorted((a, b) => a - b));

    const offline = await started({ dataDir });
    const table = tableOf(offline);
    await table.write([{ kind: "put", item: { pk: "LOG", sk: "last", n: 1_000_000 } }]);
    const rest: number[] = [];
    offline.onChanges(async (records) => {
      for (const { dynamodb } of records) rest.push(Number(dynamodb?.NewImage?.["n"]?.N));
    });
    await eventually(() => expect(rest).toContain(1_000_000));
    expect(rest).toEqual(rest.toSorted((a, b) => a - b));
    const all = new Set([...heard, ...rest]);
    expect(wrote.filter((n) => !all.has(n))).toEqual([]);
    // What was heard long before the kill is not told again.
    expect(rest[0]).toBeGreaterThan((heard.at(-1) ?? 0) - 200);
    const last = await table.get({ pk: "LOG", sk: String(wrote.at(-1)).padStart(9, "0") });
    expect(last?.["n"]).toBe(wrote.at(-1));
  });

  it("may live in any other DynamoDB, whose own stream is read then", async () => {
    const other = await started();
    const options = { endpoint: other.endpoint, name: "elsewhere", dataDir: folder() };
    const first = await started(options);
    const table = tableOf(first);
    const heard: DynamoDBRecord[] = [];
    first.onChanges(async (records) => void heard.push(...records));
    await table.write([{ kind: "put", item: row }]);
    await table.write([{ kind: "put", item: { ...row, n: 2 } }]);
    await eventually(() => expect(heard).toHaveLength(2));
    expect(heard[1]).toMatchObject({
      eventName: "MODIFY",
      eventSourceARN: expect.stringContaining("elsewhere"),
      dynamodb: {
        ApproximateCreationDateTime: expect.any(Number),
        Keys: { pk: { S: "a" }, sk: { S: "1" } },
        OldImage: { n: { N: "1" } },
        NewImage: { n: { N: "2" } },
      },
    });
    await first.stop();
    await table.write([{ kind: "delete", key: row }]);
    const again: DynamoDBRecord[] = [];
    (await started(options)).onChanges(async (records) => void again.push(...records));
    await eventually(() => expect(again).toHaveLength(1));
    expect(again[0]?.eventName).toBe("REMOVE");
  });

  it("is not to be had on another platform", () => {
    for (const [platform, architecture] of [
      ["darwin", "arm64"],
      ["linux", "arm64"],
    ] as const) {
      expect(() => dynoxideProgram(platform, architecture)).toThrowError(
        expect.objectContaining({
          code: "TABLE_UNAVAILABLE",
          message: `No DynamoDB for ${platform}-${architecture} comes with Gatehouse: set GATEHOUSE_TABLE_ENDPOINT to one`,
        }),
      );
    }
  });

  it("tells why its server does not start", async () => {
    const program = dynoxideProgram(process.platform, process.arch);
    const file = join(folder(), "missing", "table.db");
    await expect(startDynoxide({ program, file })).rejects.toMatchObject({
      code: "TABLE_UNAVAILABLE",
      message: expect.stringContaining("dynoxide did not start"),
    });
    await expect(startDynoxide({ program: "/nowhere", file })).rejects.toMatchObject({
      code: "TABLE_UNAVAILABLE",
    });
  });
});
