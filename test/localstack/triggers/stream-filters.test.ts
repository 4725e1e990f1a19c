import { expect, test } from "vitest";
import {
  allocationKey,
  beatKey,
  cardKey,
  cardOperationKey,
  claimKey,
  connectionKey,
  deployableKey,
  eventKey,
  fleetKey,
  hostKey,
  hostNameKey,
  idempotencyKey,
  imageKey,
  instanceKey,
  joinKey,
  operationKey,
  outboxKey,
  partKey,
  profileKey,
  quotaKey,
  receiptKey,
  secretKey,
  signingKeyKey,
  waitKey,
} from "#store/keys";
import type { Key } from "#store/table";
import { readService } from "../../../localstack/gateway/service.ts";
import { compilePattern } from "../../../localstack/triggers/pattern.ts";

const { functions } = readService("serverless.yml");

/** True when the function hears of changes of this row. */
function hears(functionName: string, { pk, sk }: Key): boolean {
  const [stream] = functions.find(({ name }) => name === functionName)?.streams ?? [];
  const record = { eventName: "REMOVE", dynamodb: { Keys: { pk: { S: pk }, sk: { S: sk } } } };
  return (stream?.filters ?? []).some((filter) => compilePattern(filter)(record));
}

const report = (kind: "put" | "delete", marks: object) => {
  const [key] = [deployableKey("h", "d")];
  const Keys = { pk: { S: key.pk }, sk: { S: key.sk } };
  const NewImage = { ...Keys, value: { M: {} }, ...marks };
  return { dynamodb: { Keys, ...(kind === "put" ? { NewImage } : {}), OldImage: { ...Keys } } };
};

test.each(["tableChanged", "openstackChanged"])(
  "%s hears of every change of a deployable but the steps of work under way",
  (name) => {
    const [stream] = functions.find((one) => one.name === name)?.streams ?? [];
    const matchers = (stream?.filters ?? []).map(compilePattern);
    const isHeard = (record: unknown) => matchers.some((matches) => matches(record));
    expect(isHeard(report("put", {}))).toBe(true);
    expect(isHeard(report("delete", {}))).toBe(true);
    expect(isHeard(report("put", { quiet: { BOOL: true } }))).toBe(false);
  },
);

/** Rows whose changes are pushed to agents or have a line in the audit (layers/store/events.ts). */
const followed: readonly (readonly [string, Key])[] = [
  ["claim", claimKey("c")],
  ["deployable", deployableKey("h", "d")],
  ["image", imageKey("i")],
  ["host", hostKey("h")],
  ["signing key", signingKeyKey("k")],
  ["lock of a card", cardKey("h", "c")],
  ["operation on a card", cardOperationKey("c", "o")],
  ["quota", quotaKey("p", "FPGA")],
];

/** Rows whose changes Placement or Nova is told of (functions/events/openstack-changed.ts). */
const told: readonly (readonly [string, Key])[] = [
  ["deployable", deployableKey("h", "d")],
  ["host", hostKey("h")],
  ["image", imageKey("i")],
  ["event Nova is owed", outboxKey("c")],
  ["allocation to take", allocationKey("c", "take")],
  ["allocation to drop", allocationKey("c", "drop")],
];

/** Rows that are written much and from which nothing follows. */
const noise: readonly (readonly [string, Key])[] = [
  ["heartbeat", beatKey("h")],
  ["event of the audit", eventKey("p", 1_700_000_000_000, "e")],
  ["idempotency", idempotencyKey("x")],
  ["socket", connectionKey("c")],
  ["operation", operationKey("d", 3)],
  ["receipt", receiptKey("d", 3)],
  ["inventory part", partKey("h", "i", 0)],
  ["claim of an instance", instanceKey("i", "c")],
  ["claim that waits", waitKey("h", 1_700_000_000_000, "c")],
  ["host name", hostNameKey("n")],
  ["join token", joinKey("d")],
  ["secret", secretKey("s")],
  ["profile", profileKey("p")],
  ["number of hosts", fleetKey()],
];

test.each(followed)("a change of a %s reaches the dispatch and the audit", (_, key) => {
  expect(hears("tableChanged", key)).toBe(true);
});

test.each(told)("a change of a %s reaches the second systems", (_, key) => {
  expect(hears("openstackChanged", key)).toBe(true);
});

test.each(noise)("a change of a %s wakes no function", (_, key) => {
  expect([hears("tableChanged", key), hears("openstackChanged", key)]).toEqual([false, false]);
});
