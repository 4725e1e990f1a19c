import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { watchFile } from "../../../localstack/table/watch.ts";

const ends: (() => unknown)[] = [];
afterEach(() => {
  for (const end of ends.splice(0).toReversed()) end();
});

function watched(idleMs?: number) {
  const folder = mkdtempSync(join(tmpdir(), "gatehouse-test-"));
  const file = join(folder, "log");
  writeFileSync(file, "");
  const watch = watchFile(file, idleMs);
  ends.push(
    () => rmSync(folder, { recursive: true }),
    () => watch.close(),
  );
  return { watch, file };
}

const never = new AbortController().signal;
/** Longer than a test may take: whoever waits for it fails. */
const tooLong = 60_000;

describe("a watched file", () => {
  it("ends a wait when it is written to", async () => {
    const { watch, file } = watched(tooLong);
    const waits = [watch.wait(never), watch.wait(never)];
    appendFileSync(file, "x");
    await Promise.all(waits);
  });

  it("is looked at in any case after a while", async () => {
    const { watch } = watched(5);
    await watch.wait(never);
    watch.close();
    await watch.wait(never);
  });

  it("ends a wait when it is told to", async () => {
    const { watch } = watched(tooLong);
    const ending = new AbortController();
    const waiting = watch.wait(ending.signal);
    ending.abort();
    await waiting;
    await watch.wait(ending.signal);
    expect(ending.signal.aborted).toBe(true);
  });
});
