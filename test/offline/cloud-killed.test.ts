import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClaimView } from "#protocol/http/claims";
import type { DeployableView } from "#protocol/http/deployables";
import type { QuotaView } from "#protocol/http/settings";
import { until } from "../../localstack/tour/steps.ts";

const root = join(import.meta.dirname, "..", "..");
let dataDir: string;
let port: number;
let cloud: ChildProcess;

/** Two free ports in a row: the cloud takes the second for its bucket. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

function start(...args: readonly string[]): ChildProcess {
  const env = {
    ...process.env,
    GATEHOUSE_PORT: String(port),
    GATEHOUSE_DATA: dataDir,
    GATEHOUSE_SIMULATED_HOSTS: "1",
    GATEHOUSE_DEFAULT_QUOTA: "1000",
  };
  return spawn(process.execPath, ["localstack/main.ts", ...args], { cwd: root, env });
}

async function text(child: ChildProcess): Promise<{ out: string; err: string; code: number }> {
  let [out, err] = ["", ""];
  child.stdout?.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const code = await new Promise<number>((resolve) =>
    child.once("close", (one) => resolve(one ?? -1)),
  );
  return { out, err, code };
}

async function ready(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.stdout?.on("data", (chunk: Buffer) => {
      if (chunk.toString().includes("gatehouse ready")) resolve();
    });
    child.once("close", (code) => reject(new Error(`the cloud ended with ${code}`)));
  });
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  return await new Promise((resolve) => child.once("close", resolve));
}

interface Answer<Body> {
  readonly status: number;
  readonly body: Body;
}

async function call<Body>(
  method: string,
  path: string,
  options: { readonly key?: string; readonly body?: unknown } = {},
): Promise<Answer<Body>> {
  const { key, body } = options;
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: {
      "x-project-id": "kill",
      ...(key === undefined ? {} : { "idempotency-key": key }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Body };
}

/** dynoxide processes that serve this test's table. */
function tables(): readonly string[] {
  const listed = execFileSync("ps", ["-eo", "pid,stat,args"], { encoding: "utf8" });
  return listed
    .split("\n")
    .filter((line) => line.includes("dynoxide") && line.includes(dataDir) && !line.includes(" Z"));
}

async function deployables(): Promise<readonly DeployableView[]> {
  const { body } = await call<{ items: DeployableView[] }>("GET", "/v1/deployables?limit=200");
  return body.items;
}

async function allOffered(): Promise<void> {
  await until("every handle to be free", async () => {
    const found = await deployables();
    const handles = found.flatMap((one) => one.handles);
    return handles.length > 0 && handles.every(({ state }) => state === "free") ? true : undefined;
  });
}

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "gatehouse-killed-"));
  port = await freePort();
  cloud = start("--no-tour");
  await ready(cloud);
  await allOffered();
}, 30_000);

afterAll(async () => {
  cloud.kill("SIGKILL");
  await ended(cloud);
  await rm(dataDir, { recursive: true, force: true });
});

test("kill -9 in the middle of claims loses nothing that was answered and doubles nothing", async () => {
  const keys = Array.from({ length: 24 }, () => randomUUID());
  const request = { resourceClass: "CUSTOM_FPGA_INSPUR_VF" };
  const granted = new Map<string, string>();
  const claiming = keys.map(async (key, index) => {
    await new Promise((resolve) => {
      setTimeout(resolve, index * 8);
    });
    try {
      const { status, body } = await call<{ claims: ClaimView[] }>("POST", "/v1/claims", {
        key,
        body: request,
      });
      if (status === 201) granted.set(key, body.claims[0]?.id ?? "");
    } catch {
      // The answer was lost with the process: asked again below, with the same key.
    }
  });
  await until("some claims to be granted", async () => (granted.size >= 2 ? true : undefined));
  cloud.kill("SIGKILL");
  await ended(cloud);
  await Promise.all(claiming);
  await until("the table's process to end with the cloud's", async () =>
    tables().length === 0 ? true : undefined,
  );
  cloud = start("--no-tour");
  await ready(cloud);
  const before = await call<{ items: ClaimView[] }>("GET", "/v1/claims?limit=200");
  const known = new Set(before.body.items.map(({ id }) => id));
  for (const id of granted.values()) expect(known).toContain(id);
  for (const key of keys) {
    const { status, body } = await call<{ claims?: ClaimView[] }>("POST", "/v1/claims", {
      key,
      body: request,
    });
    const first = granted.get(key);
    if (first !== undefined)
      expect({ status, id: body.claims?.[0]?.id }).toEqual({ status: 200, id: first });
  }
  const { body } = await call<{ items: ClaimView[] }>("GET", "/v1/claims?limit=200");
  const places = body.items.map(({ deployable, handle }) => `${deployable} ${handle}`);
  expect(new Set(places).size).toBe(places.length);
  const quotas = await call<{ items: QuotaView[] }>("GET", "/v1/quotas");
  expect(quotas.body.items.map(({ used }) => used)).toEqual([body.items.length]);
  for (const { id } of body.items) {
    expect((await call("DELETE", `/v1/claims/${id}`)).status).toBe(202);
  }
  await allOffered();
  const after = await call<{ items: QuotaView[] }>("GET", "/v1/quotas");
  expect(after.body.items.map(({ used }) => used)).toEqual([0]);
}, 60_000);

test("a second cloud on the same port or folder says so in one line and ends", async () => {
  const { err, code } = await text(start("--no-tour"));
  expect(code).toBe(1);
  expect(err.trim().split("\n")).toHaveLength(1);
}, 20_000);

test("a setting that is wrong is named", async () => {
  const env = { ...process.env, GATEHOUSE_PORT: "many", GATEHOUSE_DATA: dataDir };
  const child = spawn(process.execPath, ["localstack/main.ts", "--no-tour"], { cwd: root, env });
  const { err, code } = await text(child);
  expect(code).toBe(1);
  expect(err).toContain("GATEHOUSE_PORT");
});

test("SIGTERM ends the cloud cleanly and leaves no process behind", async () => {
  cloud.kill("SIGTERM");
  expect(await ended(cloud)).toBe(0);
  expect(tables()).toEqual([]);
}, 20_000);
