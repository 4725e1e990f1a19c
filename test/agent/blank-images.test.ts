import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Fault, isFault } from "#domain/faults";
import { readBlankImages } from "../../agent/blank-images.ts";
import { blanksOf } from "../../agent/drivers/cards.ts";
import { blankFunction } from "../../agent/host/memory-kernel/cards.ts";
import { blankFile } from "../conformance/subjects.ts";

const intel = "69528db6-eb31-577a-9926-ab6d6c925a68";
const amd = "862c7020-a250-293e-3203-6f19956669e5";
const chip = "8fc4437b-1566-5087-bb8a-19f2ae847987";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gatehouse-blank-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const put = (name: string, bytes: Buffer | string) => writeFile(join(folder, name), bytes);

async function refusal(): Promise<Fault> {
  const error: unknown = await readBlankImages(folder).catch((one: unknown) => one);
  if (isFault(error, "INVALID_REQUEST")) return error;
  throw new Error(`not refused: ${String(error)}`);
}

test("no folder means no images", async () => {
  expect(await readBlankImages(join(folder, "missing"))).toEqual([]);
});

test("each image is known by the shell its header names", async () => {
  const gbs = blankFile("gbs", intel);
  await put("a.gbs", gbs);
  await put("b.xclbin", blankFile("xclbin", amd));
  await put("README", "nothing of ours");
  const blanks = blanksOf(await readBlankImages(folder));
  expect(blanks.for(intel)).toMatchObject({ functionId: blankFunction, interfaceId: intel });
  expect(blanks.for(intel)?.bytes.equals(gbs)).toBe(true);
  expect(blanks.for(intel)?.payloadOffset).toBeGreaterThan(20);
  expect(blanks.for(amd)?.payloadOffset).toBe(0);
  expect(blanks.for(chip)).toBeUndefined();
  expect(blanks.has(blankFunction)).toBe(true);
});

test("a raw image is known by its name", async () => {
  await put(`${chip}.raw`, "bits");
  const [blank] = await readBlankImages(folder);
  expect(blank).toMatchObject({ interfaceId: chip, payloadOffset: 0 });
  expect(blank?.bytes.toString()).toBe("bits");
});

test.each([
  ["garbage.gbs", Buffer.from("XeonFPGA, or so")],
  ["empty.xclbin", Buffer.alloc(0)],
  ["some.raw", Buffer.from("bits")],
])("%s is refused by name", async (name, bytes) => {
  await put(name, bytes);
  const { message, detail } = await refusal();
  expect(message).toContain(join(folder, name));
  expect(detail).toMatchObject({ field: "blankImages" });
});

test("two images for one shell are refused", async () => {
  await put("a.gbs", blankFile("gbs", intel));
  await put("b.gbs", blankFile("gbs", intel));
  expect((await refusal()).message).toContain(intel);
});

test("what is no folder, or no file, is refused", async () => {
  await mkdir(join(folder, "sub.gbs"));
  expect((await refusal()).message).toContain("sub.gbs");
  await rm(folder, { recursive: true });
  await writeFile(folder, "");
  expect((await refusal()).message).toContain(folder);
});
