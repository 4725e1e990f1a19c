import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { nodeFiles, replaceFile } from "../../agent/host/files.ts";
import { openFailpoints, parseFailpoints } from "./failpoints.ts";
import { fullDisk } from "./full-disk.ts";
import { startTableProxy } from "./table-proxy.ts";

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "gatehouse-failpoints-"));
});

afterEach(() => {
  rmSync(dir, { recursive: true });
});

test("a failpoint happens at its name, as often as it may and as likely as it says", () => {
  const draws = [0.05, 0.5, 0.05, 0.05];
  const failpoints = openFailpoints(
    "agent.marks:before=kill@0.1*2,table.*=delay:200",
    () => draws.shift() ?? 0,
  );
  expect(failpoints.draw("agent.journal:before")).toBeUndefined();
  const fates = Array.from({ length: 4 }, () => failpoints.draw("agent.marks:before")?.action);
  expect(fates).toEqual(["kill", undefined, "kill", undefined]);
  expect(failpoints.draw("table.write")).toEqual({ action: "delay", argument: "200" });
});

test.each(["agent.start", "agent.start=", "=kill", "agent.start=kill@2", "agent.start=kill:a:b"])(
  "%s is refused, since a misspelt failpoint would be a quiet success",
  (text) => {
    expect(() => parseFailpoints(text)).toThrow(text);
  },
);

test("a place kills, waits or throws what the kernel would", async () => {
  let kills = 0;
  const failpoints = openFailpoints("a=kill,b=error:EIO,c=delay:1", Math.random, () => {
    kills += 1;
  });
  await failpoints.pass("a");
  expect(kills).toBe(1);
  await expect(failpoints.pass("b")).rejects.toMatchObject({ code: "EIO" });
  await failpoints.pass("c");
  await failpoints.pass("d");
});

test("failpoints of a file follow it while the process runs", () => {
  const file = join(dir, "points");
  writeFileSync(file, "");
  const failpoints = openFailpoints(`@${file}`, Math.random);
  expect(failpoints.draw("a")).toBeUndefined();
  writeFileSync(file, "a=kill");
  expect(failpoints.draw("a")?.action).toBe("kill");
});

test("a full disk refuses what writes with DISK_FULL and keeps what was there", async () => {
  const file = join(dir, "record");
  await replaceFile(file, "old");
  const full = fullDisk(openFailpoints("agent.disk=full*1", Math.random));
  await expect(replaceFile(file, "new", full)).rejects.toMatchObject({ code: "DISK_FULL" });
  expect(await full.readFile(file, "utf8")).toBe("old");
  await replaceFile(file, "new", full);
  expect(await nodeFiles.readFile(file, "utf8")).toBe("new");
});

interface FakeTable {
  readonly server: Server;
  readonly heard: string[];
  readonly url: string;
}

async function fakeTable(): Promise<FakeTable> {
  const heard: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on("end", () => {
      heard.push(body);
      response.end(JSON.stringify({ done: true }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, heard, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const item = {
  Put: {
    Item: { pk: { S: "a" } },
    ConditionExpression: "attribute_not_exists(#k)",
    ExpressionAttributeNames: { "#k": "pk" },
  },
};
const check = { ConditionCheck: { Key: { pk: { S: "b" } }, ConditionExpression: "#k = :v" } };

async function writeThrough(rules: string) {
  const table = await fakeTable();
  const proxy = await startTableProxy(table.url, openFailpoints(rules, Math.random));
  try {
    const answer = await fetch(proxy.url, {
      method: "POST",
      headers: { "x-amz-target": "DynamoDB_20120810.TransactWriteItems" },
      body: JSON.stringify({ TransactItems: [item, check] }),
    }).then(
      async (response) => ({ status: response.status, body: await response.json() }),
      () => "no answer",
    );
    return { answer, heard: table.heard.map((body): unknown => JSON.parse(body)) };
  } finally {
    await proxy.close();
    table.server.closeAllConnections();
    table.server.close();
  }
}

test.each([
  ["", { status: 200, body: { done: true } }, 1],
  ["table.read=cut", { status: 200, body: { done: true } }, 1],
  ["table.write=delay:1", { status: 200, body: { done: true } }, 1],
  ["table.write=cut", "no answer", 0],
  ["table.write=ambiguous", "no answer", 1],
  ["table.write=lose", { status: 200, body: {} }, 0],
  ["table.write=throttle", { status: 400, body: { message: "ThrottlingException" } }, 0],
  [
    "table.write=conflict",
    {
      status: 400,
      body: {
        CancellationReasons: [{ Code: "TransactionConflict" }, { Code: "TransactionConflict" }],
      },
    },
    0,
  ],
])("a table with %s answers as it must, and did what it must", async (rules, expected, calls) => {
  const { answer, heard } = await writeThrough(rules);
  if (typeof expected === "string") expect(answer).toBe(expected);
  else expect(answer).toMatchObject(expected);
  expect(heard).toHaveLength(calls);
});

test("a table without conditions gets the writes alone", async () => {
  const { heard } = await writeThrough("table.write=unconditional");
  expect(heard).toEqual([{ TransactItems: [{ Put: { Item: { pk: { S: "a" } } } }] }]);
});
