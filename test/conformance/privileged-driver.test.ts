import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach } from "vitest";
import { blanksOf, cardsDriver } from "../../agent/drivers/cards.ts";
import type { Place, VerifiedImage } from "../../agent/drivers/driver.ts";
import { imageFileName } from "../../agent/host/cache-folder.ts";
import { dflCard } from "../../agent/host/memory-kernel/cards.ts";
import { noTools } from "../../agent/host/tools.ts";
import { helperClient } from "../../agent/privileged/client.ts";
import { serveHelper } from "../../agent/privileged/server.ts";
import { type Powers, perform } from "../../agent/privileged/verbs.ts";
import { verifiedImage } from "../agent/driver-fixtures.ts";
import { bench, guest, hostId, toVfio } from "../agent/kernels.ts";
import { type DriverSubject, driverConformance } from "./driver.ts";

const functions = {
  0: "cccccccc-cccc-4ccc-8ccc-cccccccccccc",
  1: "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
  2: "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb",
} as const;

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

/** What the cloud says of an image, as far as the helper needs it. */
const reference = ({ id, sha256, functionId, interfaceId, bytes }: VerifiedImage) => ({
  id,
  sha256,
  functionId,
  interfaceId,
  url: "https://bucket.test/secret",
  size: bytes.length,
  md5: "0".repeat(32),
  format: "gbs" as const,
  vendor: "intel",
  type: "crypto",
});

/** The drivers without any privilege; behind a socket the helper, on a kernel in memory. */
async function subject(): Promise<DriverSubject> {
  const card = dflCard(0);
  const { kernel, sleep } = bench([card], { opaque: true });
  const folder = await mkdtemp(join(tmpdir(), "gatehouse-privileged-"));
  cleanups.push(() => rm(folder, { recursive: true }));
  const { interfaceId } = card;
  const blank = { ...verifiedImage("gbs", functions[0], interfaceId), interfaceId };
  const powers: Powers = {
    port: kernel,
    pr: kernel,
    tools: noTools,
    guard: { port: kernel, cards: {}, deny: [] },
    images: {
      folder,
      maxBytes: 1 << 20,
      trust: { signature: "optional", keyOf: () => undefined, now: () => new Date() },
      blanks: [blank],
    },
  };
  const path = join(folder, "helper.sock");
  const helper = await serveHelper(
    (server) => new Promise((resolve) => server.listen(path, resolve)),
    (request) => perform(powers, request),
  );
  cleanups.push(() => helper.close());
  const client = helperClient({ path, plain: kernel });
  cleanups.push(async () => client.close());
  const driver = cardsDriver({
    hostId,
    port: client.port,
    pr: client.pr,
    sleep,
    blanks: blanksOf([blank]),
  });
  const images = new Map<string, VerifiedImage>();
  for (const n of [1, 2] as const) {
    const image = verifiedImage("gbs", functions[n], card.interfaceId);
    await writeFile(join(folder, imageFileName(image.sha256)), image.bytes, { mode: 0o600 });
    client.vouch(image.bytes, reference(image));
    images.set(functions[n], image);
  }
  const addressOf = ({ deployable }: Place, name: string) =>
    deployable.handles.find((handle) => handle.name === name)?.address ?? "";
  return {
    driver,
    image: (_, n) => {
      const image = images.get(functions[n]);
      if (!image) throw new Error("no such image");
      return image;
    },
    async intoGuest(place, handle) {
      const address = addressOf(place, handle);
      const node = await toVfio(kernel, address);
      await kernel.open(node, guest);
      return async () => {
        await kernel.close(node, guest.pid);
        await kernel.write(`/sys/bus/pci/devices/${address}/driver_override`, "\n", 1000);
        await kernel.write("/sys/bus/pci/drivers/vfio-pci/unbind", address, 1000);
        await kernel.write("/sys/bus/pci/drivers_probe", address, 1000);
      };
    },
    failNext: ({ device, deployable }) => kernel.failNext(device.cardId, deployable.region, "crc"),
    breakCard: ({ device }) => kernel.setBroken(device.cardId, true),
    removeCard: ({ device }) => kernel.setPresent(device.cardId, false),
  };
}

driverConformance("of a process without privilege, by its helper", subject);
