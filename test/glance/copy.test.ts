import { createHash } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import { Fault } from "#domain/faults";
import { type GlanceFacts, imageFromGlance } from "#domain/glance";
import type { Image } from "#domain/image";
import type { OpenStack } from "#openstack/cloud";
import { dueRows } from "#store/due";
import { addImage, changeImage, readImage } from "#store/images";
import { bring, type Copying } from "../../functions/glance/copy.ts";
import { flowing } from "../../functions/glance/flowing.ts";
import { newStore, type TestStore } from "../store/support.ts";

const id = "11111111-2222-4333-8444-555555555555";
const chunks = ["one ", "two ", "three"].map((text) => Buffer.from(text));
const bytes = Buffer.concat(chunks);

let store: TestStore;
let objects: Map<string, Buffer>;
let judged: string[];
let opened: number;

beforeEach(async () => {
  store = newStore();
  objects = new Map();
  judged = [];
  opened = 0;
});

async function waiting(more: Partial<GlanceFacts> = {}): Promise<void> {
  const facts: GlanceFacts = {
    id,
    project: "p1",
    name: "crypto",
    visibility: "private",
    vendor: "intel",
    type: "crypto",
    said: {},
    size: bytes.length,
    hash: { algorithm: "sha512", value: createHash("sha512").update(bytes).digest("hex") },
    digest: "d",
    ...more,
  };
  await store.table.write([addImage(imageFromGlance(facts, store.now()))]);
}

/** A Glance of which only downloads are asked; `before` happens before each chunk but the first. */
function glance(
  before: (chunk: number) => Promise<void> | void = () => undefined,
  sent: readonly Buffer[] = chunks,
): OpenStack {
  return {
    send: async () => await Promise.reject(new Error("not asked")),
    endpoint: async () => await Promise.resolve("http://glance"),
    open: async () => {
      opened += 1;
      let at = 0;
      const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
        const chunk = sent[at];
        if (chunk === undefined) return controller.close();
        if (at > 0) await before(at);
        at += 1;
        controller.enqueue(new Uint8Array(chunk));
      };
      const body = new ReadableStream<Uint8Array>({ pull }, { highWaterMark: 0 });
      return await Promise.resolve(new Response(body, { status: 200 }));
    },
  };
}

function copying(openstack: OpenStack, more: Partial<Copying> = {}): Copying {
  return {
    store,
    openstack,
    holder: "first",
    maxImageBytes: 1000,
    bucket: {
      facts: async (key) => {
        const found = objects.get(key);
        const facts = { etag: "e", metadata: {}, tags: {} };
        return await Promise.resolve(found && { size: found.length, ...facts });
      },
    },
    uploader: {
      write: async (key, stream, approve) => {
        const parts: Uint8Array[] = [];
        for await (const chunk of stream) parts.push(chunk);
        approve();
        objects.set(key, Buffer.concat(parts));
      },
    },
    judge: async (image: Image) => await Promise.resolve(judged.push(image.id)),
    ...more,
  };
}

async function known(): Promise<Image> {
  const image = await readImage(store, id);
  if (image === undefined) throw new Error("the image is there");
  return image;
}

/** Ids that the clock would look at now. */
async function due(): Promise<number> {
  let count = 0;
  for await (const item of dueRows(store, "GLANCE")) count += item["pk"] === `IMAGE#${id}` ? 1 : 0;
  return count;
}

describe("a copy from Glance", () => {
  test("lands whole under the image's key and leaves the judgement to the bucket's message", async () => {
    await waiting();
    expect(await due()).toBe(1);
    expect(await bring(copying(glance()), id)).toBe(true);
    expect(objects.get(`images/p1/${id}`)).toEqual(bytes);
    expect(await known()).toMatchObject({ state: "pending", glance: { copied: bytes.length } });
    expect(judged).toEqual([]);
    expect(await due()).toBe(0);
    expect(await bring(copying(glance()), id)).toBe(false);
  });

  test("is judged by the clock when that message was lost, without another download", async () => {
    await waiting();
    await bring(copying(glance()), id);
    store.clock.now += 120_000;
    expect(await due()).toBe(1);
    expect(await bring(copying(glance()), id)).toBe(true);
    expect([judged, opened]).toEqual([[id], 1]);
  });

  test("says how far it is, at most every 5 seconds", async () => {
    await waiting();
    const seen: (number | undefined)[] = [];
    const steady = (ms: number) =>
      glance(async () => {
        seen.push((await known()).glance?.copied);
        store.clock.now += ms;
      });
    await bring(copying(steady(4_999)), id);
    expect(seen).toEqual([0, 0]);
    objects.clear();
    store = newStore();
    await waiting();
    await bring(copying(steady(5_000)), id);
    expect(seen).toEqual([0, 0, 0, 8]);
    expect((await known()).glance?.copied).toBe(bytes.length);
  });

  test("is made by one copier at a time, and taken over from a dead one", async () => {
    await waiting();
    const tries: boolean[] = [];
    const second = copying(glance(), { holder: "second" });
    const dying = glance(async (at) => {
      if (at === 1) tries.push(await bring(second, id));
      else {
        store.clock.now += 60_000;
        tries.push(await bring(second, id));
      }
    });
    await bring(copying(dying), id);
    expect(tries).toEqual([false, true]);
    expect(await known()).toMatchObject({ glance: { copied: bytes.length, tries: 0 } });
  });

  test("stops when the image is withheld meanwhile", async () => {
    await waiting();
    const withheld = glance(async (at) => {
      if (at !== 1) return;
      store.clock.now += 6_000;
      await changeImage(store, id, (image) => ({ ...image, state: "rejected" }));
    });
    await bring(copying(withheld), id);
    expect(objects.size).toBe(0);
    expect(await known()).toMatchObject({ state: "rejected", glance: { copied: 0 } });
  });
});

describe("a copy that fails", () => {
  test("is tried again, each time later, and says why", async () => {
    await waiting();
    const short = glance(undefined, chunks.slice(0, 2));
    for (const [tries, wait] of [30_000, 60_000, 120_000].entries()) {
      expect(await bring(copying(short), id)).toBe(true);
      expect(objects.size).toBe(0);
      const image = await known();
      expect(image).toMatchObject({
        state: "pending",
        glance: { tries: tries + 1, problem: "8 of 13 bytes came from Glance" },
      });
      expect(image.glance?.dueAt).toBe(store.now() + wait);
      expect(await bring(copying(short), id)).toBe(false);
      store.clock.now += wait;
    }
    await bring(copying(glance()), id);
    expect((await known()).glance?.problem).toBeUndefined();
    expect(objects.get(`images/p1/${id}`)).toEqual(bytes);
  });

  test.each([
    ["Glance is away", () => Promise.reject(new Fault("OPENSTACK_UNAVAILABLE", "away"))],
    ["Glance gives no bytes", () => Promise.resolve(new Response("", { status: 403 }))],
  ] as const)("because %s is tried again", async (_why, open) => {
    await waiting();
    await bring(copying({ ...glance(), open }), id);
    expect(await known()).toMatchObject({ state: "pending", glance: { tries: 1 } });
  });

  test("with a defect is not hidden, and free for others after its lease", async () => {
    await waiting();
    const broken = copying(glance(), {
      uploader: { write: async () => await Promise.reject(new TypeError("broken")) },
    });
    await expect(bring(broken, id)).rejects.toThrow("broken");
    store.clock.now += 60_000;
    expect(await bring(copying(glance()), id)).toBe(true);
  });
});

describe("a copy is refused", () => {
  test("when its digest is another", async () => {
    await waiting({ hash: { algorithm: "sha512", value: "00" } });
    await bring(copying(glance()), id);
    expect(objects.size).toBe(0);
    expect(await known()).toMatchObject({ state: "rejected", reason: { code: "IMAGE_CORRUPT" } });
    expect(await due()).toBe(0);
  });

  test("before the download when it is too large", async () => {
    await waiting();
    await bring(copying(glance(), { maxImageBytes: 12 }), id);
    expect(await known()).toMatchObject({ reason: { code: "IMAGE_TOO_LARGE" } });
    expect(opened).toBe(0);
  });

  test("during the download when Glance did not say how large it is", async () => {
    await waiting({ size: undefined });
    await bring(copying(glance(), { maxImageBytes: 12 }), id);
    expect(await known()).toMatchObject({ reason: { code: "IMAGE_TOO_LARGE" } });
    expect(objects.size).toBe(0);
  });

  test("not for a digest that this Node cannot make", async () => {
    await waiting({ hash: { algorithm: "whirlpool-2", value: "00" } });
    await bring(copying(glance()), id);
    expect(objects.get(`images/p1/${id}`)).toEqual(bytes);
  });
});

describe("a download", () => {
  const all = async (body: ReadableStream<Uint8Array>) => {
    for await (const chunk of flowing(body, 5)) expect(chunk).toBeDefined();
  };

  test("that stands still is given up", async () => {
    let cancelled = false;
    const still = new ReadableStream<Uint8Array>({ cancel: () => void (cancelled = true) });
    await expect(all(still)).rejects.toMatchObject({ code: "DOWNLOAD_FAILED" });
    expect(cancelled).toBe(true);
  });

  test("that breaks off has failed", async () => {
    const broken = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.error(new TypeError("terminated")),
    });
    await expect(all(broken)).rejects.toMatchObject({
      code: "DOWNLOAD_FAILED",
      message: "the download broke off",
    });
  });
});
