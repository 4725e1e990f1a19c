import { beforeEach, expect, test } from "vitest";
import { uuidOf } from "#protocol/uuid";
import type { Report } from "#protocol/wire/messages";
import { chainStart, type Receipt } from "#protocol/wire/receipt";
import { maxFrameBytes } from "#protocol/wire/shapes";
import type { ReportBody } from "../../../agent/reconcile/report.ts";
import { Outbox } from "../../../agent/session/outbox.ts";

const deployable = uuidOf("one");
const bootId = uuidOf("boot");

let now: number;
let sent: Report[];
let receipts: Receipt[];
let outbox: Outbox;
const send = (text: string) => {
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(maxFrameBytes);
  sent.push(JSON.parse(text));
};

beforeEach(() => {
  now = 0;
  sent = [];
  receipts = [];
  const source = {
    receiptOf: () => receipts[0],
    acknowledged: async (_: string, number: number) => {
      receipts = receipts.filter(({ body }) => body.number !== number);
    },
  };
  outbox = new Outbox(source, () => now);
});

function body(changes: Partial<ReportBody> = {}): ReportBody {
  const phase = "idle" as const;
  const facts = { loaded: { functionId: null }, health: { state: "ok" as const }, clean: false };
  return {
    deployable,
    bootId,
    imageGeneration: 1,
    revision: 1,
    phase,
    ...facts,
    handles: {},
    ...changes,
  };
}

function receipt(number: number): Receipt {
  const facts = { deployable, number, previous: chainStart, kind: "scrub" as const, bootId, at: 1 };
  return { body: { ...facts, imageGeneration: 1, functionId: null, fences: {} }, signature: "s" };
}

const ackOf = ({ epoch, seq }: Report) => ({ type: "ack" as const, deployable, epoch, seq });
const last = () => {
  const found = sent.at(-1);
  if (found === undefined) throw new Error("nothing was sent");
  return found;
};

test("what is put before a session goes out with its epoch", () => {
  outbox.put(body());
  expect(sent).toEqual([]);
  outbox.connected(4, send);
  expect(sent).toMatchObject([{ type: "report", epoch: 4, seq: 1, phase: "idle" }]);
});

test("the same body is not sent twice, a new one is", () => {
  outbox.connected(1, send);
  outbox.put(body());
  outbox.put(body());
  outbox.put(body({ phase: "ready" }));
  expect(sent.map(({ phase, seq }) => [phase, seq])).toEqual([
    ["idle", 1],
    ["ready", 2],
  ]);
});

test("percent alone goes out at most once a second", () => {
  outbox.connected(1, send);
  for (const percent of [0, 10, 20, 30]) {
    outbox.put(body({ phase: "programming", percent }));
    now += 400;
  }
  expect(sent.map(({ percent }) => percent)).toEqual([0, 30]);
});

test("every receipt rides, oldest first, and the next one goes as soon as one is stored", async () => {
  receipts = [receipt(1), receipt(2), receipt(3)];
  outbox.connected(1, send);
  outbox.put(body());
  while (receipts.length > 0) await outbox.ack(ackOf(last()));
  expect(sent.map((report) => report.receipt?.body.number)).toEqual([1, 2, 3]);
});

test("only the ack of the newest report of the session counts", async () => {
  receipts = [receipt(1)];
  outbox.connected(2, send);
  outbox.put(body());
  const first = last();
  outbox.put(body({ phase: "ready" }));
  await outbox.ack(ackOf(first));
  await outbox.ack({ ...ackOf(last()), epoch: 1 });
  await outbox.ack({ ...ackOf(last()), deployable: uuidOf("other") });
  expect(outbox.pending()).toEqual([deployable]);
  expect(receipts).toHaveLength(1);
  await outbox.ack(ackOf(last()));
  expect(outbox.pending()).toEqual([]);
  expect(receipts).toEqual([]);
});

test("an ack without a deployable covers the report with its number", async () => {
  outbox.connected(1, send);
  outbox.put(body());
  await outbox.ack({ type: "ack", epoch: 1, seq: last().seq });
  expect(outbox.pending()).toEqual([]);
});

test("what is owed is sent again after its time, what is settled is not", async () => {
  outbox.connected(1, send);
  outbox.put(body());
  outbox.put({ ...body(), deployable: uuidOf("two") });
  await outbox.ack({ type: "ack", epoch: 1, seq: 1 });
  now += 19_999;
  outbox.resend(20_000);
  expect(sent).toHaveLength(2);
  now += 1;
  outbox.resend(20_000);
  expect(sent).toHaveLength(3);
  expect(last()).toMatchObject({ deployable: uuidOf("two"), seq: 3 });
});

test("a new session hears of every deployable once, acknowledged or not", async () => {
  outbox.connected(1, send);
  outbox.put(body());
  await outbox.ack(ackOf(last()));
  outbox.disconnected();
  outbox.put(body({ phase: "ready" }));
  outbox.connected(2, send);
  expect(sent.map(({ epoch, phase }) => [epoch, phase])).toEqual([
    [1, "idle"],
    [2, "ready"],
  ]);
});

test("a report with more XML than a frame holds goes without it", () => {
  outbox.connected(1, send);
  const attachment = { hypervisor: "libvirt", pciAddress: "0000:3b:00.1", xml: "x".repeat(8000) };
  const handle = { fence: 1, state: "plugged" as const, clean: false, attachment };
  const handles = Object.fromEntries(Array.from({ length: 8 }, (_, n) => [`vf${n}`, handle]));
  outbox.put(body({ handles }));
  expect(Object.values(last().handles)).toHaveLength(8);
  expect(last().handles["vf0"]?.attachment).toEqual({
    hypervisor: "libvirt",
    pciAddress: "0000:3b:00.1",
  });
});
