import { beforeEach, describe, expect, test, vi } from "vitest";
import { Fault } from "#domain/faults";
import type { Image } from "#domain/image";
import { mostTries, verdictMs } from "#domain/judgement";
import { encodeGbs } from "#protocol/images/encode-gbs";
import { uuidOf } from "#protocol/uuid";
import { dueRows, owedRows } from "#store/due";
import { changeImage, readImage } from "#store/images";
import type { Table } from "#store/table";
import { create } from "../../functions/events/image-uploaded.ts";
import { type IngestBucket, type Ingesting, ingest } from "../../functions/ingest/ingest.ts";
import { takeUpJudgements } from "../../functions/ingest/take-up.ts";
import { type TestStore, testStore } from "../http/rows.ts";

const bytes = encodeGbs({
  interfaceId: uuidOf("interface"),
  functionId: uuidOf("function"),
  name: "crypto",
  payload: Buffer.from("bits"),
});
const object = { key: "images/red/crypto", version: "v1" };
const id = uuidOf("image", object.key, object.version);
const settings = { signaturePolicy: "optional", maxImageBytes: 1 << 20 } as const;

let store: TestStore;
let tags: Record<string, string>;

beforeEach(() => {
  store = testStore();
  tags = { FPGA: "true", vendor: "intel", type: "crypto" };
});

const bucket: IngestBucket = {
  facts: async (key) =>
    key.startsWith(object.key) && !key.endsWith(".manifest.json")
      ? { size: bytes.length, etag: "e", version: object.version, metadata: {}, tags }
      : undefined,
  read: async () => chunksOf(bytes),
  pin: async () => "pinned",
};

async function* chunksOf(whole: Buffer): AsyncGenerator<Uint8Array> {
  yield whole.subarray(0, 10);
  yield whole.subarray(10);
}

const judging = (more: Partial<Ingesting> = {}): Ingesting => ({
  store,
  bucket,
  settings,
  ...more,
});
const broken: IngestBucket = {
  ...bucket,
  read: async () => await Promise.reject(new Error("503")),
};
/** Answers for the object and for nothing beside it. */
const deaf: IngestBucket = {
  ...bucket,
  facts: async (key, version) =>
    key === object.key ? await bucket.facts(key, version) : await Promise.reject(new Error("503")),
};
const image = async (): Promise<Image | undefined> => await readImage(store, id);

async function listed(isDue: boolean): Promise<number> {
  let count = 0;
  for await (const _ of isDue ? dueRows(store, "JUDGE") : owedRows(store, "JUDGE")) count += 1;
  return count;
}

/** A table that does not answer the call of this number. */
function failing(number: number): Table {
  let call = 0;
  const { table } = store;
  const answer = <Value>(act: () => Promise<Value>): Promise<Value> =>
    call++ === number ? Promise.reject(new Fault("TABLE_UNAVAILABLE")) : act();
  return {
    get: (key, options) => answer(() => table.get(key, options)),
    getMany: (keys) => answer(() => table.getMany(keys)),
    query: (query) => answer(() => table.query(query)),
    write: (writes) => answer(() => table.write(writes)),
  };
}

describe("a judgement that our side cuts off", () => {
  test("says nothing of the image, whichever call to the table is not answered", async () => {
    let calls = 0;
    for (let isOver = false; !isOver; calls += 1) {
      store = testStore();
      const cutOff = judging({ store: { ...store, table: failing(calls) } });
      isOver = await ingest(cutOff, object).then(
        () => true,
        (error: unknown) => {
          expect(error).toMatchObject({ code: "TABLE_UNAVAILABLE" });
          return false;
        },
      );
      const state = (await image())?.state;
      expect(["active", "verifying", "pending", undefined]).toContain(state);
      // Whatever the table knows of is owed; of the rest the event is tried again.
      expect(await listed(false)).toBe(state === undefined || state === "active" ? 0 : 1);
      store.pass(verdictMs);
      await takeUpJudgements(judging());
      if (state !== undefined) expect((await image())?.state).toBe("active");
      expect(await listed(false)).toBe(0);
    }
    expect(calls).toBeGreaterThan(4);
  });

  test("is not taken up before its time, and by one alone", async () => {
    await expect(ingest(judging({ bucket: broken }), object)).rejects.toThrow("503");
    expect(await image()).toMatchObject({ state: "verifying" });
    store.pass(verdictMs - 1);
    expect(await takeUpJudgements(judging())).toEqual({ judged: 0, givenUp: 0, failures: 0 });
    store.pass(1);
    const both = await Promise.all([1, 2].map(() => takeUpJudgements(judging())));
    expect(both.reduce((sum, { judged }) => sum + judged, 0)).toBe(1);
    expect(await image()).toMatchObject({ state: "active" });
  });

  const dead: readonly [string, IngestBucket][] = [
    ["while it is judged", broken],
    ["before its judgement begins", deaf],
  ];

  test.each(dead)(
    "again and again %s ends with a reason, and a tag set anew begins afresh",
    async (_, bad) => {
      vi.spyOn(console, "error").mockReturnValue();
      await expect(ingest(judging({ bucket: bad }), object)).rejects.toThrow("503");
      for (let tries = 0; tries < mostTries; tries += 1) {
        expect(await listed(true)).toBe(0);
        store.pass(verdictMs * 2 ** tries);
        const took = await takeUpJudgements(judging({ bucket: bad }));
        expect(took).toEqual({ judged: 0, givenUp: 0, failures: 1 });
      }
      store.pass(verdictMs * 2 ** mostTries);
      expect(await takeUpJudgements(judging())).toEqual({ judged: 0, givenUp: 1, failures: 0 });
      expect(await image()).toMatchObject({
        state: "rejected",
        reason: { code: "IMAGE_UNJUDGED", message: expect.stringContaining("set a tag") as string },
      });
      expect(await listed(false)).toBe(0);
      await ingest(judging(), object);
      expect(await image()).toMatchObject({ state: "active" });
      vi.restoreAllMocks();
    },
  );

  test("of one image holds up no other", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const other = { key: `${object.key}-2`, version: object.version };
    for (const one of [object, other]) {
      await expect(ingest(judging({ bucket: broken }), one)).rejects.toThrow("503");
    }
    store.pass(verdictMs);
    const half: IngestBucket = {
      ...bucket,
      read: (key) => (key === object.key ? broken.read(key) : bucket.read(key)),
    };
    expect(await takeUpJudgements(judging({ bucket: half }))).toMatchObject({
      judged: 1,
      failures: 1,
    });
    vi.restoreAllMocks();
  });

  test("is nobody's business any more when the image was retired meanwhile", async () => {
    await expect(ingest(judging({ bucket: broken }), object)).rejects.toThrow("503");
    await changeImage(store, id, (known) => ({ ...known, state: "retired" }));
    expect(await listed(false)).toBe(0);
  });
});

/** The bucket, with something that happens before its n-th call. */
function meanwhile(number: number, act: () => Promise<unknown>): IngestBucket {
  let call = 0;
  const before = async () => {
    call += 1;
    if (call === number) await act();
  };
  return {
    facts: async (key, version) => {
      await before();
      return await bucket.facts(key, version);
    },
    read: async (key, version) => {
      await before();
      return await bucket.read(key, version);
    },
    pin: async (from, to) => {
      await before();
      return await bucket.pin(from, to);
    },
  };
}

describe("an image that changes while it is judged", () => {
  const calls = [1, 2, 3, 4];

  test.each(calls)("stays retired when it is retired before call %i to the bucket", async (at) => {
    await expect(ingest(judging({ bucket: broken }), object)).rejects.toThrow("503");
    const retire = () => changeImage(store, id, (known) => ({ ...known, state: "retired" }));
    await ingest(judging({ bucket: meanwhile(at, retire) }), object);
    expect(await image()).toMatchObject({ state: "retired" });
  });

  test.each(calls)("stays active when another event of it is faster by call %i", async (at) => {
    const states: (string | undefined)[] = [];
    const { table } = store;
    const watched: Table = {
      get: (key, options) => table.get(key, options),
      getMany: (keys) => table.getMany(keys),
      query: (query) => table.query(query),
      write: async (writes) => {
        const result = await table.write(writes);
        states.push((await image())?.state);
        return result;
      },
    };
    const watching = judging({ store: { ...store, table: watched } });
    await ingest({ ...watching, bucket: meanwhile(at, () => ingest(watching, object)) }, object);
    expect(states.slice(states.indexOf("active")).filter((state) => state !== "active")).toEqual(
      [],
    );
    expect(await image()).toMatchObject({ state: "active" });
  });

  test("keeps what it was judged by when an older look at its tags comes late", async () => {
    const complete = tags;
    tags = { FPGA: "true", vendor: "intel" };
    await ingest(judging(), object);
    tags = { ...complete, type: "late" };
    const { table } = store;
    let reads = 0;
    const get: Table["get"] = async (key, options) => {
      const row = await table.get(key, options);
      reads += 1;
      // Between the look of the later one and its change.
      if (reads === 1) {
        tags = complete;
        await ingest(judging(), object);
      }
      return row;
    };
    await ingest(judging({ store: { ...store, table: { ...table, get } } }), object);
    expect(await image()).toMatchObject({ state: "active", type: "crypto" });
  });
});

test("an image that waits for its tags is owed nothing until it has them", async () => {
  const { type, ...untyped } = tags;
  tags = untyped;
  await ingest(judging(), object);
  expect(await image()).toMatchObject({ state: "pending" });
  expect(await listed(false)).toBe(0);
  tags = { ...untyped, type: String(type) };
  await expect(ingest(judging({ bucket: broken }), object)).rejects.toThrow("503");
  expect(await listed(false)).toBe(1);
});

test("an image that is refused for what it is stays refused", async () => {
  tags = { ...tags, vendor: "xilinx" };
  await ingest(judging(), object);
  expect(await image()).toMatchObject({ state: "rejected" });
  expect(await listed(false)).toBe(0);
});

test("the function tells the clock from the bucket", async () => {
  const environment = {
    GATEHOUSE_TABLE: "gatehouse",
    GATEHOUSE_BUCKET: "gatehouse-images",
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
    AWS_ENDPOINT_URL: "http://127.0.0.1:1",
    AWS_MAX_ATTEMPTS: "1",
  };
  const handle = create(environment);
  const tick = { source: "aws.events", "detail-type": "Scheduled Event", detail: {} };
  await expect(handle(tick as never, {} as never)).rejects.toMatchObject({
    code: "TABLE_UNAVAILABLE",
  });
});
