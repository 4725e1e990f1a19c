import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { deviceEvents } from "../../../../agent/host/linux/device-events.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gatehouse-events-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function udevadm(script: string): Promise<string> {
  const path = join(folder, "udevadm");
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return path;
}

const introduction = "echo monitor will print the received events for:; echo UDEV - the event;";

test("an event of udev is told, its introduction is none", async () => {
  const event = `echo "UDEV  [8.25] bind     /devices/pci0000:00/0000:00:01.0 (pci)"`;
  const path = await udevadm(`${introduction} sleep 0.2; ${event}; exec sleep 60`);
  const stop = new AbortController();
  const told: number[] = [];
  const ended = new Promise<void>((resolve) => {
    const running = deviceEvents({
      path,
      signal: stop.signal,
      changed: () => {
        told.push(1);
        stop.abort();
      },
    });
    void running.then(resolve);
  });
  await ended;
  expect(told).toEqual([1]);
});

test("a host without udev tells nothing, and that is no error", async () => {
  const changed = () => expect.unreachable();
  const { signal } = new AbortController();
  await deviceEvents({ path: join(folder, "absent"), signal, changed });
  const path = await udevadm(`${introduction} exit 1`);
  await deviceEvents({ path, signal, changed });
});

test("nothing is started once it is called off", async () => {
  const path = await udevadm("touch started");
  await deviceEvents({ path, signal: AbortSignal.abort(), changed: () => expect.unreachable() });
});
