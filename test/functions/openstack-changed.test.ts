import type { DynamoDBRecord } from "aws-lambda";
import { beforeEach, expect, test } from "vitest";
import { Fault } from "#domain/faults";
import { marshalItem } from "#store/marshal";
import { oweEvent, readOwedEvent } from "#store/outbox";
import type { Item } from "#store/table";
import { openstackChangedFunction } from "../../functions/events/openstack-changed.ts";
import type { Change } from "../../functions/events/table-changed.ts";
import { addClaimRow, idOf, type TestStore, testStore } from "../http/rows.ts";
import { novaOf } from "./nova.ts";

let store: TestStore;
let record: DynamoDBRecord;

const claim = idOf("arq");

beforeEach(async () => {
  store = testStore();
  const bound = await addClaimRow(store, "arq", { provider: idOf("rp"), instance: idOf("vm") });
  const writes = oweEvent(bound, "completed", store.now());
  await store.table.write(writes);
  const item: Item = writes[0]?.kind === "put" ? writes[0].item : {};
  record = { eventID: "e1", dynamodb: { SequenceNumber: "7", NewImage: marshalItem(item) } };
});

async function heard(
  placementChanged: (changes: readonly Change[]) => Promise<unknown>,
  statuses: readonly number[] = [200],
  records = [record],
) {
  const nova = novaOf(...statuses);
  const hear = openstackChangedFunction({
    store,
    openstack: nova.openstack,
    log: () => undefined,
    placementChanged,
    settleAllocation: async () => undefined,
  });
  const answer = await hear({ Records: records }, {} as never);
  return { answer, calls: nova.calls };
}

test("an event that is owed is told to Nova, and Placement hears of every change", async () => {
  const seen: string[] = [];
  const { answer, calls } = await heard(async (changes) =>
    seen.push(...changes.map(({ id }) => id)),
  );
  expect(answer).toEqual({ batchItemFailures: [] });
  expect(calls).toHaveLength(1);
  expect(seen).toEqual(["e1"]);
  expect(await readOwedEvent(store, claim)).toBeUndefined();
});

test("a try that is only remembered is not told again", async () => {
  const again = {
    ...record,
    dynamodb: { ...record.dynamodb, OldImage: record.dynamodb?.NewImage },
  };
  const { calls } = await heard(async () => undefined, [200], [again]);
  expect(calls).toEqual([]);
});

test("a service that is away holds up nothing, because it is owed", async () => {
  const away = async () => await Promise.reject(new Fault("OPENSTACK_UNAVAILABLE"));
  const { answer } = await heard(away, [503]);
  expect(answer).toEqual({ batchItemFailures: [] });
  expect(await readOwedEvent(store, claim)).toMatchObject({ tries: 4 });
});

test("a defect brings the batch again", async () => {
  const { answer } = await heard(async () => await Promise.reject(new Error("a defect")));
  expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: "7" }] });
});
