import { type ChildProcess, spawn } from "node:child_process";
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { deployableId, uuidOf } from "#protocol/uuid";
import type { KernelState } from "../../agent/host/memory-kernel/state.ts";
import { agentKey, writeIdentity } from "../../agent/identity.ts";
import { type CloudWish, ScriptedCloud } from "./support/scripted-cloud.ts";
import { claimOf, makeImage } from "./support/world.ts";

const hostId = uuidOf("host", "process");
const port0 = deployableId(hostId, "pci0000:00-01.0-00", "port0");

let stateDir: string;
let cloud: ScriptedCloud;
let server: Server;
let sockets: WebSocketServer;
let origin: string;
let children: ChildProcess[];

beforeEach(async () => {
  children = [];
  stateDir = await mkdtemp(join(tmpdir(), "gatehouse-process-"));
  cloud = new ScriptedCloud(await agentKey(stateDir, true), () => Date.now());
  server = createServer((request, response) => {
    const image = cloud.images.get(`${origin}${request.url}`);
    response.writeHead(image === undefined ? 404 : 200).end(image);
  });
  sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket) => {
    const line = {
      epoch: 0,
      send: (message: unknown) => socket.send(JSON.stringify(message)),
    };
    socket.on("message", (data: Buffer) => cloud.take(data.toString(), line));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  origin = `http://127.0.0.1:${port}`;
  const permit = createPublicKey(generateKeyPairSync("ed25519").privateKey);
  await writeIdentity(stateDir, {
    host: hostId,
    nodeName: "node",
    socketUrl: `ws://127.0.0.1:${port}`,
    httpUrl: origin,
    permitKey: permit.export({ type: "spki", format: "pem" }).toString(),
  });
  const settings = {
    stateDir,
    socket: join(stateDir, "agent.sock"),
    imageOrigins: [origin],
    requireSignature: false,
    cdiDirectory: join(stateDir, "cdi"),
    simulated: { dfl: 1, speed: 4 },
  };
  await writeFile(join(stateDir, "config.json"), JSON.stringify(settings));
});

afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  for (const client of sockets.clients) client.terminate();
  sockets.close();
  await new Promise((resolve) => {
    server.close(resolve);
  });
  await rm(stateDir, { recursive: true, force: true });
});

function startProcess(): ChildProcess {
  const args = ["agent/main.ts", "run", "--config", join(stateDir, "config.json")];
  const child = spawn(process.execPath, args, { stdio: "ignore" });
  children.push(child);
  return child;
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  return await new Promise((resolve) => child.once("exit", resolve));
}

async function until(done: () => boolean, what: string): Promise<void> {
  const end = Date.now() + 15_000;
  while (!done()) {
    if (Date.now() > end) throw new Error(`never came: ${what}`);
    await pause(2);
  }
}

const target = { hypervisor: "cdi" } as const;
const attach = (): CloudWish => ({
  deployable: port0,
  revision: 1,
  imageGeneration: 1,
  scrub: "erase",
  image: makeImage(cloud, "aes", origin),
  handles: { vf0: { fence: 1, claim: claimOf("one"), plugged: true, target } },
});
const release = (): CloudWish => ({
  deployable: port0,
  revision: 2,
  imageGeneration: 2,
  scrub: "erase",
  handles: { vf0: { fence: 2, plugged: false, clean: true } },
});

async function kernel(): Promise<KernelState> {
  return JSON.parse(await readFile(join(stateDir, "simulated-kernel.json"), "utf8"));
}

test("a process killed with -9 in the middle of every phase still ends attached, then released", async () => {
  cloud.wish(attach());
  for (const phase of ["scrubbing", "fetching", "programming", "reading-back", "binding"]) {
    const before = cloud.reports.length;
    const child = startProcess();
    await until(
      () =>
        cloud.reports.slice(before).some((report) => report.phase === phase) ||
        cloud.of(port0)?.phase === "ready",
      phase,
    );
    child.kill("SIGKILL");
    await ended(child);
  }
  const last = startProcess();
  await until(
    () =>
      cloud.of(port0)?.phase === "ready" && cloud.of(port0)?.handles["vf0"]?.state === "plugged",
    "attached",
  );
  const { functions } = await kernel();
  expect(functions.find(({ role, vf }) => role === "vf" && vf === 0)?.driver).toBe("vfio-pci");
  cloud.wish(release());
  await until(() => cloud.of(port0)?.phase === "scrubbing", "scrubbing");
  last.kill("SIGKILL");
  await ended(last);
  const polite = startProcess();
  await until(
    () => cloud.of(port0)?.phase === "ready" && cloud.of(port0)?.imageGeneration === 2,
    "released",
  );
  expect(cloud.of(port0)).toMatchObject({
    clean: true,
    loaded: { functionId: null },
    handles: { vf0: { fence: 2, state: "unplugged", clean: true } },
  });
  expect(cloud.violations).toEqual([]);
  polite.kill("SIGTERM");
  expect(await ended(polite)).toBe(0);
}, 60_000);

test("SIGTERM lets the running step end, and the next process tells its result", async () => {
  cloud.wish({ ...attach(), handles: {} });
  const child = startProcess();
  await until(() => cloud.of(port0)?.phase === "programming", "programming");
  child.kill("SIGTERM");
  expect(await ended(child)).toBe(0);
  const { cards } = await kernel();
  expect(cards[0]?.regions[0]?.running).toBeNull();
  expect(cards[0]?.regions[0]?.loaded).toBe(uuidOf("function", "aes"));
  startProcess();
  await until(() => cloud.of(port0)?.phase === "ready", "told");
  expect(cloud.violations).toEqual([]);
}, 30_000);
