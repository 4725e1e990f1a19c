import { generateKeyPairSync, randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { isFault } from "#domain/faults";
import {
  claimedHost,
  machineDigest,
  signAgentToken,
  tokenSeconds,
  verifyAgentToken,
} from "#protocol/agent-token";
import { type Permit, signPermit, verifyPermit } from "#protocol/permit";
import {
  chainStart,
  type ReceiptBody,
  receiptDigest,
  receiptVerifies,
  signReceipt,
} from "#protocol/wire/receipt";

const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const other = generateKeyPairSync("ed25519");
const now = 1_800_000_000_000;
const host = "11111111-1111-4111-8111-111111111111";
const identity = { host, machine: machineDigest("a", "b"), bootId: randomUUID() };

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "accepted";
  } catch (error) {
    return isFault(error) ? error.code : "not a fault";
  }
}

/** The same token with another payload under the old signature. */
function tampered(token: string, change: object): string {
  const [head, payload = "", signature] = token.split(".");
  const known = JSON.parse(Buffer.from(payload, "base64url").toString()) as object;
  const changed = Buffer.from(JSON.stringify({ ...known, ...change })).toString("base64url");
  return [head, changed, signature].join(".");
}

describe("an agent's token", () => {
  test("names its host and proves it for a minute", async () => {
    const token = await signAgentToken(identity, privateKey, now);
    expect(claimedHost(token)).toBe(host);
    expect(await verifyAgentToken(token, publicKey, now)).toEqual(identity);
    expect(await verifyAgentToken(token, publicKey, now - 4_000)).toEqual(identity);
    const late = now + (tokenSeconds + 6) * 1000;
    expect(await codeOf(verifyAgentToken(token, publicKey, late))).toBe("UNAUTHENTICATED");
    expect(await codeOf(verifyAgentToken(token, publicKey, now - 60_000))).toBe("UNAUTHENTICATED");
  });

  test("proves nothing under another key, changed, or for another purpose", async () => {
    const token = await signAgentToken(identity, privateKey, now);
    expect(await codeOf(verifyAgentToken(token, other.publicKey, now))).toBe("UNAUTHENTICATED");
    const forged = tampered(token, { iss: randomUUID() });
    expect(await codeOf(verifyAgentToken(forged, publicKey, now))).toBe("UNAUTHENTICATED");
    const permit = await signPermit(permitFor(now), privateKey);
    expect(await codeOf(verifyAgentToken(permit, publicKey, now))).toBe("UNAUTHENTICATED");
    expect(() => claimedHost("nonsense")).toThrow("cannot be read");
  });
});

function permitFor(at: number): Permit {
  return {
    claim: randomUUID(),
    host,
    deployable: randomUUID(),
    handle: "vf0",
    fence: 4,
    project: "p",
    exp: Math.floor(at / 1000) + 60,
  };
}

describe("a permit", () => {
  test("says what was signed until it ends", async () => {
    const permit = permitFor(now);
    const text = await signPermit(permit, privateKey);
    expect(await verifyPermit(text, publicKey, now)).toMatchObject(permit);
    expect(await codeOf(verifyPermit(text, publicKey, now + 61_000))).toBe("PERMIT_INVALID");
  });

  test("is refused under another key, with a higher fence, and when it is an agent's token", async () => {
    const text = await signPermit(permitFor(now), privateKey);
    expect(await codeOf(verifyPermit(text, other.publicKey, now))).toBe("PERMIT_INVALID");
    expect(await codeOf(verifyPermit(tampered(text, { fence: 9 }), publicKey, now))).toBe(
      "PERMIT_INVALID",
    );
    const token = await signAgentToken(identity, privateKey, now);
    expect(await codeOf(verifyPermit(token, publicKey, now))).toBe("PERMIT_INVALID");
  });
});

describe("a receipt", () => {
  const body: ReceiptBody = {
    deployable: host,
    number: 1,
    previous: chainStart,
    kind: "scrub",
    imageGeneration: 2,
    functionId: null,
    fences: { vf1: 2, vf0: 1 },
    bootId: host,
    at: now,
  };

  test("verifies whatever order its members arrive in", () => {
    const receipt = signReceipt(body, privateKey);
    const shuffled = Object.fromEntries(Object.entries(body).toReversed()) as ReceiptBody;
    expect(receiptVerifies({ ...receipt, body: shuffled }, publicKey)).toBe(true);
    expect(receiptDigest(shuffled)).toBe(receiptDigest(body));
  });

  test("does not verify changed or under another key", () => {
    const receipt = signReceipt(body, privateKey);
    expect(receiptVerifies({ ...receipt, body: { ...body, imageGeneration: 3 } }, publicKey)).toBe(
      false,
    );
    expect(receiptVerifies(receipt, other.publicKey)).toBe(false);
    expect(receiptVerifies({ ...receipt, signature: "" }, publicKey)).toBe(false);
  });
});
