import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Fault, isFault } from "#domain/faults";
import {
  decodeAgentMessage,
  decodeCloudMessage,
  encodeMessage,
  wireErrorOf,
} from "#protocol/wire/codec";
import { maxFrameBytes } from "#protocol/wire/shapes";

const id = "11111111-1111-4111-8111-111111111111";

function faultOf(work: () => unknown): Fault {
  try {
    work();
  } catch (error) {
    if (isFault(error)) return error;
    throw error;
  }
  throw new Error("no fault");
}

test("a message comes back as it was sent, with members nobody knows yet", () => {
  const ping = { type: "ping", epoch: 3, digest: { [id]: 7 }, mood: "good" } as const;
  expect(decodeAgentMessage(encodeMessage(ping))).toEqual(ping);
  const drain = { type: "drain", until: 5 } as const;
  expect(decodeCloudMessage(JSON.stringify(drain))).toEqual(drain);
});

test("card operations and their reports come back with members nobody knows yet", () => {
  const card = {
    type: "card",
    cardId: "slot-1",
    operation: id,
    kind: "layout",
    layout: "vfs",
    vfs: 4,
    requestedAt: 1,
    deadline: 2,
    floors: { [id]: { imageGeneration: 3, fences: { vf0: 4 }, mood: "good" } },
    mood: "good",
  } as const;
  expect(decodeCloudMessage(encodeMessage(card))).toEqual(card);
  expect(faultOf(() => decodeAgentMessage(encodeMessage(card))).code).toBe("UNKNOWN_MESSAGE");
  const told = { type: "card-report", epoch: 1, cardId: "slot-1", operation: id } as const;
  const report = { ...told, state: "failed", inventoryHash: "hash", mood: "good" } as const;
  expect(decodeAgentMessage(encodeMessage(report))).toEqual(report);
  const pending = JSON.stringify({ ...report, state: "pending" });
  expect(faultOf(() => decodeAgentMessage(pending))).toMatchObject({
    code: "INVALID_MESSAGE",
    detail: { field: "state" },
  });
  expect(faultOf(() => decodeCloudMessage(JSON.stringify({ ...card, vfs: 65 })))).toMatchObject({
    code: "INVALID_MESSAGE",
    detail: { field: "vfs" },
  });
});

test.each([
  ["not JSON", "{", "INVALID_MESSAGE", undefined],
  ["no object", "[]", "INVALID_MESSAGE", "type"],
  ["null", "null", "INVALID_MESSAGE", "type"],
  ["no type", "{}", "INVALID_MESSAGE", "type"],
  ["a type of the other side", '{"type":"welcome"}', "UNKNOWN_MESSAGE", undefined],
  [
    "a member of the wrong kind",
    '{"type":"ping","epoch":-1,"digest":{}}',
    "INVALID_MESSAGE",
    "epoch",
  ],
  [
    "a key that is no uuid",
    '{"type":"ping","epoch":1,"digest":{"x":1}}',
    "INVALID_MESSAGE",
    "digest.x",
  ],
])("%s is a typed fault that names the field", (_what, text, code, field) => {
  const fault = faultOf(() => decodeAgentMessage(text));
  expect(fault.code).toBe(code);
  if (field !== undefined) expect(fault.detail.field).toBe(field);
});

test("a frame of 32 KB passes, one byte more does not, either way", () => {
  const frame = (bytes: number) => {
    const empty = JSON.stringify({ type: "ping", epoch: 1, digest: {}, pad: "" });
    return JSON.stringify({
      type: "ping",
      epoch: 1,
      digest: {},
      pad: "x".repeat(bytes - empty.length),
    });
  };
  expect(decodeAgentMessage(frame(maxFrameBytes)).type).toBe("ping");
  expect(faultOf(() => decodeAgentMessage(frame(maxFrameBytes + 1))).code).toBe(
    "MESSAGE_TOO_LARGE",
  );
  const big = { type: "ping", epoch: 1, digest: {}, pad: "é".repeat(maxFrameBytes) } as const;
  expect(faultOf(() => encodeMessage(big)).code).toBe("MESSAGE_TOO_LARGE");
});

test("no text makes the decoder throw anything but a fault", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.json().map((one) => `{"type":"report","x":${one}}`),
      ),
      (text) => {
        for (const decode of [decodeAgentMessage, decodeCloudMessage]) {
          try {
            decode(text);
          } catch (error) {
            if (!isFault(error)) throw error;
          }
        }
      },
    ),
  );
});

test("an error travels by its code; what is no fault shows nothing of itself", () => {
  const fault = new Fault("INVALID_MESSAGE", "wrong", { field: "epoch" });
  expect(wireErrorOf(fault)).toEqual({ code: "INVALID_MESSAGE", message: "wrong", field: "epoch" });
  expect(wireErrorOf(new Error("password=1"))).toEqual({
    code: "INTERNAL",
    message: "unexpected error",
  });
});
