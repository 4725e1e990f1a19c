import type { DynamoDBRecord } from "aws-lambda";
import { expect, test } from "vitest";
import type { Deployable } from "#domain/deployable";
import { deployableRow } from "#store/deployables";
import { listEvents } from "#store/events";
import { marshalItem } from "#store/marshal";
import { tableChangedFunction } from "../../functions/events/table-changed.ts";
import type { Push } from "../../functions/parts/push.ts";
import {
  addDeployable,
  addHost,
  handleOf,
  heldHandle,
  idOf,
  start,
  testStore,
} from "../http/rows.ts";

const bucket = { presignGet: async () => "https://bucket/image" };

function recordOf(before: Deployable, after: Deployable): DynamoDBRecord {
  return {
    eventID: "e1",
    dynamodb: {
      SequenceNumber: "7",
      ApproximateCreationDateTime: start / 1000,
      OldImage: marshalItem(deployableRow(before)),
      NewImage: marshalItem(deployableRow(after)),
    },
  };
}

async function changed(handles: Deployable["handles"], send: Push["send"]) {
  const store = testStore();
  const host = await addHost(store, "node1", { connection: "c1" });
  const before = await addDeployable(store, host, "port0", { handles });
  const after = { ...before, enabled: false, imageGeneration: 5, revision: 2 };
  const push = { send, close: async () => undefined };
  const served = tableChangedFunction({
    store,
    bucket,
    push,
    assignWaiting: async () => undefined,
  });
  const answer = await served({ Records: [recordOf(before, after)] }, {} as never);
  const { items } = await listEvents(store, { subject: before.id }, () => true, {});
  return { answer, events: items.length };
}

test("a push that fails is tried again and does not keep the change off the audit", async () => {
  const failing = async () => await Promise.reject(new Error("no network"));
  const { answer, events } = await changed({ pf: handleOf() }, failing);
  expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: "7" }] });
  expect(events).toBeGreaterThan(0);
});

test("a wish that fits into no frame holds nothing up", async () => {
  const many = Array.from({ length: 600 }, (_, index) => [
    `vf${index}`,
    heldHandle("p1", idOf(`claim${index}`)),
  ]);
  const sent: unknown[] = [];
  const { answer } = await changed(
    Object.fromEntries(many) as Deployable["handles"],
    async (_, message) => sent.push(message) > 0,
  );
  expect(answer).toEqual({ batchItemFailures: [] });
  expect(sent).toEqual([]);
});

test.each<[string, Partial<Deployable>, Partial<Deployable>, boolean]>([
  ["comes on offer", { enabled: false }, {}, true],
  ["stays on offer", {}, { product: "other" }, false],
  ["goes off offer", {}, { enabled: false }, false],
  [
    "has another handle freed while others are held",
    { sharing: "any", handles: { a: handleOf(), b: heldHandle("p1", idOf("c1")) } },
    { sharing: "any", handles: { a: handleOf(), b: handleOf() } },
    true,
  ],
])("claims that wait are looked at when a card %s", async (_, was, is, isLookedAt) => {
  const store = testStore();
  const host = await addHost(store, "node1");
  const before = await addDeployable(store, host, "port0", was);
  const after = { ...before, enabled: true, ...is, revision: 2 };
  const looked: string[] = [];
  const served = tableChangedFunction({
    store,
    bucket,
    push: { send: async () => true, close: async () => undefined },
    assignWaiting: async (one) => looked.push(one),
  });
  await served({ Records: [recordOf(before, after)] }, {} as never);
  expect(looked).toEqual(isLookedAt ? [host.id] : []);
});
