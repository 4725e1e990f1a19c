import { beforeEach, describe, expect, test } from "vitest";
import { Fault } from "#domain/faults";
import type { OpenStack, OpenStackCall, OpenStackReply } from "#openstack/cloud";
import { allServers, isServerGone } from "#openstack/nova";
import { type OwedEvent, oweEvent, readOwedEvent } from "#store/outbox";
import { deliver } from "../../functions/openstack/nova-events.ts";
import { addClaimRow, idOf, type TestStore, testStore } from "../http/rows.ts";

let store: TestStore;
let calls: OpenStackCall[];
let said: string[];
let owed: OwedEvent;

const instance = idOf("vm");

beforeEach(async () => {
  store = testStore();
  calls = [];
  said = [];
  const claim = await addClaimRow(store, "arq", { provider: idOf("rp"), instance });
  await store.table.write(oweEvent(claim, "completed", store.now()));
  owed = { claim: claim.id, instance, status: "completed", createdAt: store.now(), tries: 0 };
});

function reply(status: number, body: unknown = ""): OpenStackReply {
  return { status, headers: new Headers(), text: JSON.stringify(body) };
}

const coded = (status: number, code: number) => reply(status, { events: [{ code }] });

/** A cloud whose Nova gives these answers, the last one again and again. */
function cloud(...answers: readonly (OpenStackReply | Error)[]): OpenStack {
  return {
    send: async (call) => {
      const answer = answers[Math.min(calls.length, answers.length - 1)];
      calls.push(call);
      if (answer instanceof Error) throw answer;
      if (answer === undefined) throw new Error("no answer");
      return answer;
    },
    open: async () => await Promise.reject(new Error("not used")),
    endpoint: async () => "http://nova",
  };
}

const telling = (openstack: OpenStack | undefined) => ({
  store,
  openstack,
  log: (message: string) => said.push(message),
});

describe("an event that is owed", () => {
  test("is sent as Nova wants it and settled when it is accepted", async () => {
    expect(await deliver(telling(cloud(coded(200, 200))), owed)).toBe(true);
    expect(calls).toEqual([
      {
        service: "compute",
        method: "POST",
        path: "/os-server-external-events",
        headers: {
          "OpenStack-API-Version": "compute 2.82",
          "X-OpenStack-Nova-API-Version": "2.82",
        },
        json: {
          events: [
            {
              name: "accelerator-request-bound",
              server_uuid: instance,
              tag: owed.claim,
              status: "completed",
            },
          ],
        },
      },
    ]);
    expect(await readOwedEvent(store, owed.claim)).toBeUndefined();
    expect(await deliver(telling(cloud(coded(200, 200))), owed)).toBe(true);
    expect(calls).toHaveLength(1);
  });

  test.each([
    ["the instance has no host yet", coded(207, 422)],
    ["the instance is gone", coded(207, 404)],
    ["no instance of it is known", reply(404)],
    ["Nova says nothing more", reply(200, {})],
  ])("is settled when %s", async (_, answer) => {
    expect(await deliver(telling(cloud(answer)), owed)).toBe(true);
    expect(await readOwedEvent(store, owed.claim)).toBeUndefined();
  });

  test.each([
    ["503", reply(503)],
    ["403", reply(403)],
    ["an unknown code", coded(207, 500)],
    ["a body that is none", { status: 207, headers: new Headers(), text: "<html>" }],
    ["silence", new Fault("OPENSTACK_UNAVAILABLE", "compute: refused")],
  ])("is tried again after %s and stays owed meanwhile", async (_, answer) => {
    expect(await deliver(telling(cloud(answer, answer, coded(200, 200))), owed)).toBe(true);
    expect(calls).toHaveLength(3);
    expect(said).toHaveLength(2);
    expect(await readOwedEvent(store, owed.claim)).toBeUndefined();
  });

  test("is left to the clock after a few tries, later each time", async () => {
    expect(await deliver(telling(cloud(reply(500))), owed)).toBe(false);
    expect(await readOwedEvent(store, owed.claim)).toMatchObject({ tries: 4 });
    expect(await deliver(telling(cloud(reply(500))), owed, 1)).toBe(false);
    expect(await readOwedEvent(store, owed.claim)).toMatchObject({ tries: 5 });
  });

  test("is given up when nobody can wait for it any more, and that is said", async () => {
    store.pass(3_600_001);
    expect(await deliver(telling(cloud(reply(500))), owed)).toBe(true);
    expect(said).toEqual([`gave up telling Nova of ${owed.claim}: Nova answered 500`]);
  });

  test("is not sent for a newer one of the same claim", async () => {
    const claim = { ...(await addClaimRow(store, "other", { provider: "rp", instance })) };
    store.pass(5);
    await store.table.write(oweEvent({ ...claim, id: owed.claim }, "failed", store.now()));
    expect(await deliver(telling(cloud(coded(200, 200))), owed)).toBe(true);
    expect(calls).toEqual([]);
    expect(await readOwedEvent(store, owed.claim)).toMatchObject({ status: "failed" });
  });

  test("has nobody to go to without a compute service", async () => {
    expect(await deliver(telling(undefined), owed)).toBe(true);
    expect(said).toEqual([`nobody to tell of ${owed.claim}: no compute service is configured`]);
  });

  test("is not taken for delivered after a defect", async () => {
    await expect(deliver(telling(cloud(new Error("a defect"))), owed)).rejects.toThrow("a defect");
    expect(await readOwedEvent(store, owed.claim)).toBeDefined();
  });
});

describe("the servers of Nova", () => {
  const page = (from: number, count: number) =>
    reply(200, {
      servers: Array.from({ length: count }, (_, index) => ({ id: `s${from + index}` })),
    });

  test("are read page by page", async () => {
    const servers = await allServers(cloud(page(0, 500), page(500, 3)));
    expect(servers?.size).toBe(503);
    expect(calls.map(({ query }) => query?.["marker"])).toEqual([undefined, "s499"]);
  });

  test("are unknown when one page cannot be read", async () => {
    expect(await allServers(cloud(page(0, 500), reply(500)))).toBeUndefined();
    calls = [];
    expect(await allServers(cloud(reply(200, { oops: 1 })))).toBeUndefined();
  });

  test("are gone only when Nova says so", async () => {
    expect(await isServerGone(cloud(reply(404)), "s1")).toBe(true);
    calls = [];
    expect(await isServerGone(cloud(reply(500)), "s1")).toBe(false);
  });
});
