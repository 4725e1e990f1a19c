import { describe, expect, it } from "vitest";
import { allocationOf, dropAllocation, takeAllocation } from "#openstack/placement/allocations";
import { uuid } from "../domain/builders.ts";
import { allocationScenarios } from "./allocation-scenarios.ts";
import { PlacementDouble } from "./double.ts";
import { newWorld } from "./kit.ts";

const url = "http://placement.test";

allocationScenarios(async () => await Promise.resolve({ url, fetch: new PlacementDouble().fetch }));

const order = {
  consumer: uuid(1),
  project: "p1",
  user: "u1",
  providers: { [uuid(2)]: { CUSTOM_X: 1 } },
};

/** A Placement that answers everything but its version like this. */
function answering(status: number, errors: unknown) {
  const { fetch: real } = new PlacementDouble();
  const fetch: typeof globalThis.fetch = async (input, init) =>
    init?.method === "GET" ? await real(input, init) : Response.json({ errors }, { status });
  return newWorld({ url, fetch }).parts.client.wire;
}

describe("a refusal of an allocation", () => {
  it("that says the providers change is tried again, but not for ever", async () => {
    const wire = answering(409, [{ code: "placement.concurrent_update", detail: "again" }]);
    await expect(takeAllocation(wire, order)).rejects.toMatchObject({
      code: "placement.concurrent_update",
    });
  });

  it("that means neither that nor a lack of room is told as it is", async () => {
    const wire = answering(403, [{ detail: "no" }]);
    await expect(takeAllocation(wire, order)).rejects.toMatchObject({ status: 403, detail: "no" });
    await expect(dropAllocation(wire, order.consumer)).rejects.toMatchObject({ status: 403 });
    const wrong = answering(400, [{ detail: "JSON does not validate" }]);
    await expect(takeAllocation(wrong, order)).rejects.toMatchObject({ status: 400 });
  });

  it("by a service that is broken is a service that is away", async () => {
    const wire = answering(500, []);
    await expect(takeAllocation(wire, order)).rejects.toMatchObject({
      code: "OPENSTACK_UNAVAILABLE",
    });
  });
});

describe("an older Placement", () => {
  it("is not told a consumer's type, which it would refuse", async () => {
    const { fetch: real } = new PlacementDouble("1.36");
    const bodies: string[] = [];
    const fetch: typeof globalThis.fetch = async (input, init) => {
      if (typeof init?.body === "string") bodies.push(init.body);
      return await real(input, init);
    };
    const { wire } = newWorld({ url, fetch }).parts.client;
    expect(await takeAllocation(wire, order)).toBe("full");
    expect(bodies.join()).not.toContain("consumer_type");
    expect(await allocationOf(wire, order.consumer)).toEqual({ providers: {}, generation: null });
  });
});
