import { describe, expect, it } from "vitest";
import { inventoryOf } from "#domain/providers/provider";
import { PlacementClient } from "#openstack/placement/client";
import { openSession } from "#openstack/session";
import { providerId } from "#protocol/uuid";
import { syncHost } from "../../functions/openstack/placement-sync.ts";
import { uuid } from "../domain/builders.ts";
import { PlacementDouble } from "./double.ts";
import { change, children, newWorld, putHost, putRoot } from "./kit.ts";

const url = "http://placement.test";
const session = (
  fetch: typeof globalThis.fetch,
  endpoints: { placement?: string } = { placement: url },
) => openSession({ fetch, now: Date.now, endpoints, interface: "public" });

/** A client, and the requests it makes. */
function clientOf({ fetch }: Pick<PlacementDouble, "fetch">) {
  const asked: { readonly line: string; readonly version: string | null }[] = [];
  const counting: typeof globalThis.fetch = async (input, init) => {
    const target = new URL(input instanceof Request ? input.url : input);
    const version = new Headers(init?.headers).get("openstack-api-version");
    asked.push({ line: `${init?.method ?? "GET"} ${target.pathname}${target.search}`, version });
    return await fetch(input, init);
  };
  return { client: new PlacementClient(session(counting)), asked };
}

const answer = (status: number, body: string) => {
  const fetch = async () => await Promise.resolve(new Response(body, { status }));
  return new PlacementClient(session(fetch));
};

describe("the microversion", () => {
  it.each([
    ["1.39", "placement 1.39"],
    ["1.42", "placement 1.39"],
    ["1.36", "placement 1.36"],
  ])("of a Placement that speaks up to %s is %s, asked for once", async (newest, spoken) => {
    const { client, asked } = clientOf(new PlacementDouble(newest));
    await Promise.all([client.named("a"), client.named("b")]);
    expect(asked.map(({ version }) => version)).toEqual([null, spoken, spoken]);
  });

  it("has to be 1.29 at least, and something else in its place is not understood", async () => {
    for (const client of [
      clientOf(new PlacementDouble("1.28")).client,
      answer(200, "<html>it works</html>"),
      answer(200, "{}"),
    ]) {
      await expect(client.named("a")).rejects.toMatchObject({ code: "OPENSTACK_UNAVAILABLE" });
    }
  });

  it("is asked for again after a failure", async () => {
    const { fetch: real } = new PlacementDouble();
    let calls = 0;
    const fetch: typeof globalThis.fetch = async (input, init) => {
      calls += 1;
      if (calls === 1) throw new TypeError("fetch failed");
      return await real(input, init);
    };
    const client = new PlacementClient(session(fetch));
    await expect(client.named("a")).rejects.toMatchObject({ code: "OPENSTACK_UNAVAILABLE" });
    expect(await client.named("a")).toBeUndefined();
  });

  it("is not asked for where there is no Placement", async () => {
    const client = new PlacementClient(session(globalThis.fetch, {}));
    expect(await client.wire.isThere()).toBe(false);
    expect(await clientOf(new PlacementDouble()).client.wire.isThere()).toBe(true);
  });
});

describe("an answer", () => {
  it("that is an error tells its status, code and words", async () => {
    const refusing = answer(403, '{"errors":[{"code":"placement.x","detail":" no "}]}');
    await expect(refusing.named("a")).rejects.toMatchObject({
      name: "PlacementRefusal",
      status: 403,
      code: "placement.x",
      detail: "no",
    });
    await expect(answer(401, "who?").named("a")).rejects.toMatchObject({
      status: 401,
      code: "placement.undefined_code",
      detail: "who?",
    });
    await expect(answer(503, "").named("a")).rejects.toMatchObject({
      code: "OPENSTACK_UNAVAILABLE",
    });
  });

  it("that something is not there is no error where that may be", async () => {
    const { client } = clientOf(new PlacementDouble());
    expect(await client.node(uuid(1))).toBeUndefined();
    expect(await client.details(uuid(1))).toBeUndefined();
    expect(await client.usages(uuid(1))).toEqual({});
    expect(await client.tree(uuid(1))).toEqual([]);
    await client.remove(uuid(1));
    await expect(client.putTraits(uuid(1), 0, [])).rejects.toMatchObject({ status: 404 });
  });
});

describe("names", () => {
  it("are made once, many asked for at a time, the standard ones left alone", async () => {
    const { client, asked } = clientOf(new PlacementDouble());
    const many = Array.from({ length: 60 }, (_, at) => `CUSTOM_${"X".repeat(90)}_${at}`);
    await client.ensureTraits([...many, "OWNER_CYBORG"]);
    const lists = asked.filter(({ line }) => line.startsWith("GET /traits"));
    expect(lists).toHaveLength(4);
    for (const { line } of lists) expect(line.length).toBeLessThan(3000);
    expect(asked.filter(({ line }) => line.startsWith("PUT "))).toHaveLength(60);
    asked.splice(0);
    await client.ensureTraits([...many, "OWNER_CYBORG"]);
    await client.ensureClasses(["FPGA", "CUSTOM_Y"]);
    await client.ensureClasses(["FPGA", "CUSTOM_Y"]);
    expect(asked.map(({ line }) => line)).toEqual(["PUT /resource_classes/CUSTOM_Y"]);
  });
});

describe("details", () => {
  it("are of one generation, or not told", async () => {
    const { fetch: real } = new PlacementDouble();
    let bumps = 0;
    let stock: Promise<unknown> = Promise.resolve();
    let bump = async () => await Promise.resolve();
    const fetch: typeof globalThis.fetch = async (input, init) => {
      const answered = real(input, init);
      const { pathname } = new URL(input instanceof Request ? input.url : input);
      if (pathname.endsWith("/inventories")) stock = answered;
      if (!pathname.endsWith("/traits") || bumps === 0) return await answered;
      await stock;
      bumps -= 1;
      await bump();
      return await real(input, init);
    };
    const world = newWorld({ url, fetch });
    const root = await putRoot(world, "moving");
    await world.admin("PUT", "/resource_classes/CUSTOM_Y");
    let generation = 0;
    bump = async () => {
      await world.admin("PUT", `/resource_providers/${root}/inventories`, {
        resource_provider_generation: generation,
        inventories: { CUSTOM_Y: inventoryOf(1, 0) },
      });
      generation += 1;
    };
    bumps = 1;
    expect(await world.parts.client.details(root)).toMatchObject({ generation: 1, traits: [] });
    bumps = 100;
    await expect(world.parts.client.details(root)).rejects.toMatchObject({
      code: "placement.concurrent_update",
    });
  });
});

describe("a Placement that cannot move providers", () => {
  it("gets them made anew under their host", async () => {
    const world = newWorld({ url, fetch: new PlacementDouble("1.36").fetch });
    const { id } = await putHost(world, 1, [{}], "old");
    const root = await putRoot(world, "old");
    const other = await putRoot(world, "old-other");
    const name = "old_CUSTOM_FPGA_INTEL_PF_region-a_N3000";
    const json = { uuid: providerId(name), name, parent_provider_uuid: other };
    await world.admin("POST", "/resource_providers", json);
    expect(await syncHost(world.parts, id)).toBe("written");
    expect(await children(world, other)).toEqual([]);
    expect(await children(world, root)).toMatchObject([{ name }]);
  });
});

describe("a provider of our name that is another's", () => {
  it("is told as the refusal it is, and tried again later", async () => {
    const world = newWorld({ url, fetch: new PlacementDouble().fetch });
    const { id } = await putHost(world, 1, [{}], "squat");
    await putRoot(world, "squat");
    const squatter = "squat_CUSTOM_FPGA_INTEL_PF_region-a_N3000";
    await putRoot(world, squatter, uuid(66));
    expect(await syncHost(world.parts, id)).toBe("waiting");
    expect(world.logged.join()).toContain("duplicate_name");
    await world.admin("DELETE", `/resource_providers/${uuid(66)}`);
    expect(await syncHost(world.parts, id)).toBe("written");
  });
});

describe("a host whose name another one has by now", () => {
  it("leaves its providers to that one", async () => {
    const world = newWorld({ url, fetch: new PlacementDouble().fetch });
    const { id } = await putHost(world, 1, [{}, { product: "d5005" }], "heir");
    const root = await putRoot(world, "heir");
    await syncHost(world.parts, id);
    const { table } = world.store;
    const old = await table.get({ pk: `HOST#${id}`, sk: "HOST" });
    const removed = { ...(old?.["value"] as object), state: "removed" };
    await table.write([
      { kind: "put", item: { ...old, pk: `HOST#${id}`, sk: "HOST", value: removed } },
      { kind: "delete", key: { pk: "HOSTNAME#heir", sk: "HOSTNAME" } },
    ]);
    const heir = await putHost(world, 2, [{}], "heir");
    expect(await syncHost(world.parts, heir.id)).toBe("same");
    expect(await syncHost(world.parts, id)).toBe("same");
    expect(await children(world, root)).toHaveLength(2);
    expect(await syncHost(world.parts, heir.id)).toBe("written");
    expect(await children(world, root)).toHaveLength(1);
    await change(world, 2, 0, { present: false });
    expect(await syncHost(world.parts, heir.id)).toBe("written");
    expect(await children(world, root)).toEqual([]);
  });
});
