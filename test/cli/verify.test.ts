import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { ReceiptView } from "#protocol/http/deployables";
import { publicKeyText } from "#protocol/http/receipts";
import { chainStart, type ReceiptBody, receiptDigest, signReceipt } from "#protocol/wire/receipt";
import { verifyReceipts } from "../../cli/commands/verify.ts";
import { type FakeService, startFakeService } from "./fake-service.ts";
import { ids } from "./samples.ts";
import { createShell } from "./shell.ts";

let service: FakeService;
beforeAll(async () => {
  service = await startFakeService();
});
beforeEach(() => service.reset());
afterAll(() => service.close());

const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const other = generateKeyPairSync("ed25519");
const textOf = (key: KeyObject) =>
  publicKeyText(key.export({ type: "spki", format: "pem" }).toString());

/** Receipts 1 to `count`, programs and scrubs in turn, each naming the one before. */
function chainOf(count: number, key = privateKey): readonly ReceiptView[] {
  let previous = chainStart;
  return Array.from({ length: count }, (_, index) => {
    const body: ReceiptBody = {
      deployable: ids.deployable,
      number: index + 1,
      previous,
      kind: index % 2 === 0 ? "program" : "scrub",
      imageGeneration: index + 1,
      functionId: null,
      fences: { vf0: index },
      bootId: ids.host,
      at: Date.UTC(2030, 0, 1, 0, index),
    };
    previous = receiptDigest(body);
    const { signature } = signReceipt(body, key);
    const at = new Date(body.at).toISOString();
    return { ...body, at, signature, digest: previous, publicKey: textOf(publicKey) };
  });
}

test("a chain is verified by the keys it names, whatever order it comes in", () => {
  expect(verifyReceipts(chainOf(4).toReversed())).toEqual({
    verified: true,
    receipts: 4,
    hidden: 0,
    withoutKey: 0,
    keys: [textOf(publicKey)],
    lastScrub: "2030-01-01T00:03:00.000Z",
    wrong: [],
  });
});

test("receipts of others are hidden and break nothing; older ones without a key are counted", () => {
  const [, scrub, , last] = chainOf(4);
  const shown = [scrub, last].flatMap((one) => one ?? []);
  const old = shown.map(({ publicKey: _key, ...view }) => view);
  expect(verifyReceipts(shown)).toMatchObject({ verified: true, receipts: 2, hidden: 2 });
  expect(verifyReceipts(old)).toMatchObject({
    verified: false,
    withoutKey: 2,
    keys: [],
    wrong: [],
  });
});

const changed = (index: number, change: Partial<ReceiptView>) =>
  chainOf(3).map((view, at) => (at === index ? { ...view, ...change } : view));

test.each([
  ["another kind", changed(1, { kind: "program" }), "receipt 2 is not signed by the key"],
  ["another time", changed(2, { at: "2031-01-01T00:00:00.000Z" }), "receipt 3 is not signed"],
  ["another key", chainOf(2, other.privateKey), "receipt 1 is not signed by the key"],
  ["a key that is none", changed(0, { publicKey: "AAAA" }), "receipt 1 is not signed by the key"],
  ["a number twice", [...chainOf(2), ...chainOf(2).slice(1)], "two receipts have the number 2"],
])("%s is found", (_, views, message) => {
  expect(verifyReceipts(views).wrong.join()).toContain(message);
});

test("a receipt that was cut out and signed anew does not fit the next one", () => {
  const [first, second] = chainOf(2);
  if (first === undefined || second === undefined) throw new Error("two were made");
  const { signature: _s, digest: _d, publicKey: _p, at, ...facts } = first;
  const body = { ...facts, functionId: ids.image, at: Date.parse(at) };
  const { signature } = signReceipt(body, privateKey);
  const forged = { ...first, functionId: ids.image, signature };
  expect(verifyReceipts([forged, second]).wrong).toEqual(["receipt 2 does not name receipt 1"]);
});

test("the command says what it found, and fails when a receipt is wrong", async () => {
  const shell = () => createShell({ env: { GATEHOUSE_URL: service.url } });
  service.on("listReceipts", () => ({ json: { items: chainOf(3).toReversed() } }));
  const good = await shell().run("deployables", "verify", ids.deployable);
  expect(good.code).toBe(0);
  expect(good.out).toMatch(/verified +yes/);
  service.on("listReceipts", () => ({ json: { items: changed(1, { kind: "program" }) } }));
  const bad = await shell().run("deployables", "verify", ids.deployable, "--json");
  expect(bad.code).toBe(5);
  expect(JSON.parse(bad.out)).toMatchObject({ verified: false, receipts: 3 });
  service.on("listReceipts", () => ({ json: { items: [] } }));
  const none = await shell().run("deployables", "verify", ids.deployable);
  expect(none.err).toContain("nothing was proven");
  expect(none.out).toMatch(/verified +no/);
});
