import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isFault } from "#domain/faults";
import { linuxReads } from "../../../agent/host/linux/sysfs.ts";
import { isKernelError } from "../../../agent/host/sysfs-port.ts";
import { helperClient } from "../../../agent/privileged/client.ts";

const program = fileURLToPath(new URL("../../../agent/helper-main.ts", import.meta.url));
let folder: string;
let config: string;
let path: string;
let children: ChildProcess[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gatehouse-helper-process-"));
  children = [];
  path = join(folder, "helper.sock");
  config = join(folder, "config.json");
  const settings = {
    helper: path,
    stateDir: folder,
    trustedKeys: join(folder, "keys"),
    blankImages: join(folder, "blank"),
  };
  await writeFile(config, JSON.stringify(settings), { mode: 0o600 });
});
afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  await rm(folder, { recursive: true });
});

async function start(): Promise<{ readonly child: ChildProcess; readonly said: string }> {
  const child = spawn(process.execPath, [program, "--config", config], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { RUNTIME_DIRECTORY: folder },
  });
  children.push(child);
  const [chunk] = await once(child.stderr, "data");
  return { child, said: String(chunk) };
}

const client = () => helperClient({ path, plain: linuxReads("") });

test("opens a socket for its own user alone and ends with SIGTERM", async () => {
  const { child, said } = await start();
  expect(said).toContain("helper-ready");
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([0, null]);
});

test("refuses settings that others can write", async () => {
  await chmod(config, 0o666);
  const { child, said } = await start();
  expect(said).toContain("FORBIDDEN");
  await once(child, "exit");
});

test("is reached again after it was killed", async () => {
  const first = await start();
  const agent = client();
  const write = () => agent.port.write("/sys/bus/pci/rescan", "1", 1000);
  await expect(write()).rejects.toSatisfy((error) => isKernelError(error, "EPERM"));
  first.child.kill("SIGKILL");
  await once(first.child, "exit");
  await expect(write()).rejects.toSatisfy((error) => isFault(error, "TRY_AGAIN"));
  await start();
  await expect(write()).rejects.toSatisfy((error) => isKernelError(error, "EPERM"));
  agent.close();
});
