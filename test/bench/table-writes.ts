import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { dynamoTable } from "#store/dynamo-table";
import { absent, any, eq, exists, set } from "#store/expression";
import type { Item, Table, Write } from "#store/table";
import { type OfflineTable, offlineClient, startTable } from "../../localstack/table/start.ts";

/** Clients that write at the same time, as in design.md §12. */
const clients = 32;

/** Where the table is kept while it is measured. */
export type Medium = "disk" | "memory";

/** `perSecond` of each tenth; `ratio` of the last to the first: 1 means nothing became slower. */
export interface WriteRates {
  readonly perSecond: readonly number[];
  readonly ratio: number;
  /** Records that reached the listener; every one must. */
  readonly heard: number;
}

/** Percentiles in milliseconds. */
export interface Latencies {
  readonly p50: number;
  readonly p99: number;
  readonly worst: number;
}

/** Small updates with change capture on: does the table slow down with its history? */
export async function measureWrites(count: number, medium: Medium = "memory"): Promise<WriteRates> {
  return withTable(medium, async (table, offline) => {
    let heard = 0;
    offline.onChanges(async (records) => {
      heard += records.length;
    });
    const tenth = count / 10;
    const perSecond: number[] = [];
    for (let part = 0; part < 10; part += 1) {
      const seconds = await inParallel(tenth, async (n) => {
        const changes = [set("n", part * tenth + n)];
        await table.write([{ kind: "update", key: { pk: `ROW#${n % 100}`, sk: "ROW" }, changes }]);
      });
      perSecond.push(Math.round(tenth / seconds));
    }
    await until(() => heard >= count);
    return { perSecond, ratio: round((perSecond.at(-1) ?? 0) / (perSecond[0] ?? 1)), heard };
  });
}

/** From a write's answer to the listener, in a table that is otherwise idle or busy. */
export async function measureLatency(count: number, medium: Medium = "memory"): Promise<Latencies> {
  return withTable(medium, async (table, offline) => {
    const sent = new Map<string, number>();
    const waits: number[] = [];
    offline.onChanges(async (records) => {
      for (const { dynamodb } of records) {
        const at = sent.get(dynamodb?.Keys?.["pk"]?.S ?? "");
        if (at !== undefined) waits.push(performance.now() - at);
      }
    });
    for (let n = 0; n < count; n += 1) {
      const pk = `ROW#${n}`;
      sent.set(pk, performance.now());
      await table.write([{ kind: "put", item: { pk, sk: "ROW" } }]);
      // Uneven pauses, so that writes fall on every point of the capture's rhythm.
      await new Promise((done) => setTimeout(done, (n * 7) % 23));
    }
    await until(() => waits.length >= count);
    waits.sort((a, b) => a - b);
    const at = (share: number) => round(waits[Math.floor(share * (waits.length - 1))] ?? 0);
    return { p50: at(0.5), p99: at(0.99), worst: at(1) };
  });
}

/** Transactions of the size of a grant (two conditional puts, a check, three puts), per second. */
export async function measureGrants(count: number, medium: Medium = "memory"): Promise<number> {
  return withTable(medium, async (table, offline) => {
    let heard = 0;
    offline.onChanges(async (records) => {
      heard += records.length;
    });
    for (let n = 0; n < clients; n += 1) await table.write([put(`HOST#${n}`, "BEAT")]);
    const seconds = await inParallel(count, async (n) => {
      const result = await table.write(grant(n));
      if (!result.ok) throw new Error("A grant was refused");
    });
    await until(() => heard >= count * 5 + clients);
    return Math.round(count / seconds);
  });
}

function grant(n: number): Write[] {
  const free = any(absent("pk"), eq("revision", 1));
  return [
    { ...put(`DPL#${n % clients}`, "DPL"), if: free },
    { ...put(`CLAIM#${n}`, "CLAIM"), if: absent("pk") },
    { kind: "check", key: { pk: `HOST#${n % clients}`, sk: "BEAT" }, if: exists("revision") },
    put(`INSTANCE#${n}`, `CLAIM#${n}`),
    put(`QUOTA#${n % clients}`, "USE#FPGA"),
    put(`KEY#${n}`, "KEY"),
  ];
}

function put(pk: string, sk: string): Extract<Write, { kind: "put" }> {
  const item: Item = {
    gsi1pk: `ONE#${pk}`,
    gsi1sk: sk,
    gsi2pk: `TWO#${sk}`,
    gsi2sk: pk,
    gsi3pk: "DUE#1",
    gsi3sk: `${pk}/${sk}`,
    revision: 1,
    pad: "x".repeat(1300),
  };
  return { kind: "put", item: { ...item, pk, sk } };
}

async function withTable<T>(
  medium: Medium,
  measure: (table: Table, offline: OfflineTable) => Promise<T>,
): Promise<T> {
  const folder = medium === "disk" ? mkdtempSync(join(tmpdir(), "gatehouse-bench-")) : undefined;
  const offline = await startTable(folder === undefined ? {} : { dataDir: folder });
  const client: DynamoDBClient = offlineClient(offline.endpoint);
  try {
    return await measure(dynamoTable(client, offline.name), offline);
  } finally {
    client.destroy();
    await offline.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  }
}

/** Seconds that `count` steps took, as many at a time as there are clients. */
async function inParallel(count: number, step: (n: number) => Promise<void>): Promise<number> {
  const start = performance.now();
  let next = 0;
  const worker = async () => {
    while (next < count) {
      next += 1;
      await step(next - 1);
    }
  };
  await Promise.all(Array.from({ length: clients }, worker));
  return (performance.now() - start) / 1000;
}

async function until(reached: () => boolean): Promise<void> {
  while (!reached()) await new Promise((done) => setTimeout(done, 5));
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
