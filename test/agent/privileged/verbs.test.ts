import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { VerifiedImage } from "../../../agent/drivers/driver.ts";
import { imageFileName } from "../../../agent/host/cache-folder.ts";
import { dflCard } from "../../../agent/host/memory-kernel/cards.ts";
import type { MemoryKernel } from "../../../agent/host/memory-kernel/kernel.ts";
import { isKernelError } from "../../../agent/host/sysfs-port.ts";
import { noTools } from "../../../agent/host/tools.ts";
import type { HelperRequest } from "../../../agent/privileged/requests.ts";
import { type Powers, perform } from "../../../agent/privileged/verbs.ts";
import { verifiedImage } from "../driver-fixtures.ts";
import { bench, engineOf, firstPf } from "../kernels.ts";

const card = dflCard(0);
const functionId = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
const loaded = (kernel: MemoryKernel) => kernel.snapshot().cards[0]?.regions[0]?.loaded;
const errno = (code: string) => expect.toSatisfy((error) => isKernelError(error, code));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gatehouse-verbs-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function setUp(
  deny: readonly string[] = [],
  signature: "optional" | "required" = "optional",
) {
  const { kernel } = bench([card]);
  const powers: Powers = {
    port: kernel,
    pr: kernel,
    tools: noTools,
    guard: { port: kernel, cards: {}, deny },
    images: {
      folder,
      maxBytes: 1 << 20,
      trust: { signature, keyOf: () => undefined, now: () => new Date() },
      blanks: [],
    },
  };
  return { kernel, powers, engine: await engineOf(kernel) };
}

async function cached(interfaceId: string): Promise<VerifiedImage> {
  const image = verifiedImage("gbs", functionId, interfaceId);
  await writeFile(join(folder, imageFileName(image.sha256)), image.bytes, { mode: 0o600 });
  return image;
}

const program = (engine: string, { id, sha256, bytes, interfaceId }: VerifiedImage) =>
  ({
    verb: "program",
    engine,
    port: 0,
    file: {
      image: {
        id,
        sha256,
        functionId,
        ...(interfaceId === undefined ? {} : { interfaceId }),
        url: "",
        size: bytes.length,
        md5: "0".repeat(32),
        format: "gbs",
        vendor: "intel",
        type: "crypto",
      },
    },
  }) satisfies HelperRequest;

test("programs what it has judged itself", async () => {
  const { kernel, powers, engine } = await setUp();
  await perform(powers, program(engine, await cached(card.interfaceId)));
  expect(loaded(kernel)).toBe(functionId);
});

test("refuses an image for another shell, whoever asks, before the first byte", async () => {
  const { kernel, powers, engine } = await setUp();
  const before = loaded(kernel);
  const other = await cached("99999999-9999-4999-8999-999999999999");
  await expect(perform(powers, program(engine, other))).rejects.toMatchObject({
    code: "IMAGE_INCOMPATIBLE",
  });
  expect(loaded(kernel)).toBe(before);
});

test("refuses an unsigned image where the operator asks for signatures", async () => {
  const { powers, engine } = await setUp([], "required");
  const image = await cached(card.interfaceId);
  await expect(perform(powers, program(engine, image))).rejects.toMatchObject({
    code: "SIGNATURE_REQUIRED",
  });
});

test("touches no engine of a card that the operator keeps, and none that is not there", async () => {
  const { powers, engine } = await setUp([firstPf]);
  const image = await cached(card.interfaceId);
  await expect(perform(powers, program(engine, image))).rejects.toEqual(errno("EPERM"));
  for (const verb of ["release", "assign"] as const) {
    await expect(perform(powers, { verb, engine, port: 0 })).rejects.toEqual(errno("EPERM"));
  }
  const absent = perform(powers, { verb: "release", engine: "/dev/dfl-fme.99", port: 0 });
  await expect(absent).rejects.toEqual(errno("ENOENT"));
});

test("tells holders of cards' nodes and what it may read, and nothing else", async () => {
  const { powers } = await setUp();
  const node = perform(powers, { verb: "holders", node: "/dev/sda" });
  await expect(node).rejects.toEqual(errno("EPERM"));
  const path = perform(powers, { verb: "read", path: "/etc/shadow" });
  await expect(path).rejects.toEqual(errno("EPERM"));
  const override = `/sys/bus/pci/devices/${firstPf}/driver_override`;
  expect(await perform(powers, { verb: "read", path: override })).toBe("(null)");
});
