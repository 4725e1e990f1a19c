import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { type Files, nodeFiles } from "../../../agent/host/files.ts";
import { blankFunction } from "../../../agent/host/memory-kernel/cards.ts";
import { kernelError } from "../../../agent/host/memory-kernel/state.ts";
import type { CloudWish } from "../support/scripted-cloud.ts";
import { claimOf, makeWorld, type World } from "../support/world.ts";

let world: World;
afterEach(() => world.close());

const target = { hypervisor: "libvirt", domain: "guest" } as const;
const attach = (changes: Partial<CloudWish> = {}): CloudWish => ({
  deployable: world.port0,
  revision: 1,
  imageGeneration: 1,
  image: world.image("aes"),
  handles: { vf0: { fence: 5, claim: claimOf("one"), plugged: true, target } },
  ...changes,
});
const release = (): CloudWish => ({
  deployable: world.port0,
  revision: 2,
  imageGeneration: 2,
  scrub: "erase",
  handles: { vf0: { fence: 6, plugged: false, target, clean: true } },
});

async function attached() {
  const agent = await world.start();
  world.cloud.wish(attach());
  await world.time.until(() => world.report()?.handles["vf0"]?.state === "plugged", "plugged");
  await world.time.until(() => world.report()?.phase === "ready", "ready");
  await agent.stop();
}

/** Files of one kind of record, newest first. */
async function records(kind: "marks" | "journal"): Promise<readonly string[]> {
  const folder = join(world.stateDir, kind);
  const names = (await readdir(folder)).filter((name) => name.startsWith(world.port0));
  return names.sort((one, other) => one.length - other.length).map((name) => join(folder, name));
}

async function spoil(path: string | undefined): Promise<void> {
  if (path === undefined) throw new Error("no such record");
  const text = await readFile(path, "utf8");
  await writeFile(path, text.slice(0, -3));
}

const damageLogged = () => world.logs.filter(({ event }) => event === "journal-damaged");

test("a whole journal is no event", async () => {
  world = await makeWorld();
  await attached();
  await world.start();
  await world.time.until(() => world.report()?.epoch === 2, "back");
  expect(damageLogged()).toEqual([]);
});

describe.each([1, 2])("with %i damaged journal file(s)", (count) => {
  test("the damage is told, and the release still ends unplugged and clean", async () => {
    world = await makeWorld();
    await attached();
    for (const path of (await records("journal")).slice(0, count)) await spoil(path);
    world.cloud.wish(release());
    await world.start();
    const told = () => world.cloud.reports.map(({ error }) => error?.code);
    await world.time.until(() => told().includes("JOURNAL_UNREADABLE"), "told");
    expect(damageLogged()).toHaveLength(1);
    if (count === 2) {
      // Nothing is known of the plug any more: only its holder shows, and it is not forced out.
      await world.time.until(() => world.report()?.error?.code === "IN_USE", "held");
      expect(world.report()?.handles["vf0"]?.state).toBe("plugged");
      const group = world.cloud.inventory[0]?.deployables[0]?.handles[0]?.iommuGroup;
      expect(world.guests.calls).toEqual(["plug vf0"]);
      await world.kernel.close(`/dev/vfio/${group}`, 4711);
    }
    await world.time.until(
      () => world.report()?.phase === "ready" && world.report()?.imageGeneration === 2,
      "released",
      200,
    );
    expect(world.report()).toMatchObject({
      clean: true,
      handles: { vf0: { state: "unplugged", fence: 6 } },
    });
  });
});

test("with a damaged journal a wish to stay plugged is met again without harm", async () => {
  world = await makeWorld();
  await attached();
  for (const path of await records("journal")) await spoil(path);
  await world.start();
  await world.time.until(() => world.report()?.epoch === 2, "back");
  await world.time.until(
    () =>
      world.report()?.handles["vf0"]?.attachment !== undefined && world.report()?.phase === "ready",
    "plugged again",
  );
});

describe.each([1, 2])("with %i damaged marks file(s)", (count) => {
  test("the agent says it has none, touches nothing, and the cloud's floors hold again", async () => {
    world = await makeWorld();
    await attached();
    for (const path of (await records("marks")).slice(0, count)) await spoil(path);
    world.cloud.mishaps.away = true;
    const agent = await world.start();
    await world.time.advance(20_000);
    await world.time.settle();
    expect(world.guests.calls).toEqual(["plug vf0"]);
    expect(agent.status().deployables.map(({ imageGeneration }) => imageGeneration)).toBeDefined();
    world.cloud.mishaps.away = false;
    await world.time.until(() => world.cloud.hellos.length > 1, "hello", 200);
    expect(world.cloud.hellos.at(-1)?.marks?.[world.port0]).toBeUndefined();
    await world.time.until(() => (world.report()?.epoch ?? 0) > 1, "report");
    await world.time.until(() => world.report()?.handles["vf0"]?.fence === 5, "lifted");
    world.cloud.line?.send({ ...attach({ imageGeneration: 0 }), type: "desired" });
    await world.time.until(() => world.report()?.error?.code === "STALE_FENCE", "refused", 200);
    world.cloud.wish(release());
    await world.time.until(
      () => world.report()?.phase === "ready" && world.report()?.imageGeneration === 2,
      "released",
      200,
    );
    expect(world.cloud.violations).toEqual([]);
  });
});

test("receipts go on in the cloud's chain when the agent lost its own", async () => {
  world = await makeWorld();
  await attached();
  for (const path of await records("marks")) await spoil(path);
  await world.start();
  await world.time.until(() => world.report()?.epoch === 2, "back");
  world.cloud.wish(release());
  await world.time.until(() => world.cloud.receipts.get(world.port0)?.size === 2, "receipt 2", 200);
  expect(world.cloud.violations).toEqual([]);
});

test("with a full disk nothing is touched, the reason is told, and it goes on later", async () => {
  world = await makeWorld();
  let full = true;
  const open: Files["open"] = async (path, flags, mode) => {
    if (full && String(path).includes("/journal/")) throw kernelError("ENOSPC", "journal");
    return await nodeFiles.open(path, flags, mode);
  };
  await world.start({ files: { ...nodeFiles, open } });
  world.cloud.wish(attach());
  await world.time.until(() => world.report()?.error?.code === "DISK_FULL", "told");
  await world.time.advance(60_000);
  await world.time.settle();
  expect(world.report()?.phase).not.toBe("failed");
  expect(world.kernel.snapshot().cards[0]?.regions[0]?.loaded).not.toBe(
    world.image("aes").functionId,
  );
  expect(world.guests.calls).toEqual([]);
  full = false;
  await world.time.until(() => world.report()?.handles["vf0"]?.state === "plugged", "plugged", 200);
  await world.time.until(() => world.report()?.phase === "ready", "ready", 200);
  expect(world.report()?.error).toBeUndefined();
});

test("a fence that cannot be written down is not acted on", async () => {
  world = await makeWorld();
  let full = true;
  const open: Files["open"] = async (path, flags, mode) => {
    if (full && String(path).includes("/marks/")) throw kernelError("EIO", "marks");
    return await nodeFiles.open(path, flags, mode);
  };
  await world.start({ files: { ...nodeFiles, open } });
  world.cloud.wish(attach());
  await world.time.until(() => world.report()?.error?.code === "JOURNAL_UNREADABLE", "told");
  expect(world.guests.calls).toEqual([]);
  expect(world.kernel.snapshot().cards[0]?.regions[0]?.loaded).toBe(blankFunction);
  full = false;
  await world.time.until(() => world.report()?.handles["vf0"]?.state === "plugged", "plugged", 200);
});
