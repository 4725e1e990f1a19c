import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readSettings } from "../../agent/config.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "gatehouse-cards-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function settings(value: object) {
  const config = join(folder, "config.json");
  await writeFile(config, JSON.stringify(value));
  return readSettings({}, { config });
}

const card = { vendor: "acme", product: "thing" };

describe("the operator's cards", () => {
  test("are none by default, and tools where their packages put them", async () => {
    expect(await settings({})).toMatchObject({
      cards: [],
      deny: [],
      tools: {},
      blankImages: "/etc/gatehouse-agent/blank",
      firmwareFolder: "/lib/firmware",
    });
  });

  test.each(["10de:2236", "10de:2236:10de:1482", "0000:3b:00.0", "10000:3b:1f.7"])(
    "are matched by %s",
    async (match) => {
      const { cards, deny } = await settings({
        cards: [{ ...card, match, kind: "GPU" }],
        deny: [match],
      });
      expect(cards).toEqual([{ ...card, match, kind: "GPU", driver: "pci" }]);
      expect(deny).toEqual([match]);
    },
  );

  test("keep the driver of cards that are known, unless another is named", async () => {
    const { cards } = await settings({
      cards: [
        { ...card, match: "8086:09c4" },
        { ...card, match: "8086:bcce:8086:1770" },
        { ...card, match: "8086:bcce:8086:ffff" },
        { ...card, match: "10ee:5004" },
        { ...card, match: "10ee:5004", driver: "pci" },
        { ...card, match: "0000:3b:00.0" },
      ],
    });
    expect(cards.map(({ driver }) => driver)).toEqual(["dfl", "dfl", "dfl", "xrt", "pci", "pci"]);
  });

  test.each([
    [{ cards: [{ ...card, match: "10DE:2236" }] }, "cards.0.match"],
    [{ cards: [{ ...card, match: "10de" }] }, "cards.0.match"],
    [{ cards: [{ ...card, match: "10de:2236:10de" }] }, "cards.0.match"],
    [{ cards: [{ ...card, match: "../../etc" }] }, "cards.0.match"],
    [{ cards: [{ ...card, match: "10de:2236", kind: "TPU" }] }, "cards.0.kind"],
    [{ cards: [{ ...card, match: "10de:2236", driver: "nvidia" }] }, "cards.0.driver"],
    [{ cards: [{ match: "10de:2236", vendor: "acme" }] }, "cards.0.product"],
    [{ deny: ["everything"] }, "deny.0"],
    [{ tools: { fpgaconf: "fpgaconf" } }, "tools.fpgaconf"],
    [{ tools: { fpgasupdate: "/usr/bin/fpgasupdate" } }, "tools"],
    [{ firmwareFolder: "firmware" }, "firmwareFolder"],
  ])("%j is refused by name", async (value, field) => {
    await expect(settings(value)).rejects.toMatchObject({
      code: "INVALID_REQUEST",
      detail: { field },
    });
  });
});
