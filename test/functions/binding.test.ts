import { beforeEach, describe, expect, test } from "vitest";
import type { Asks, Claim } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import type { Host } from "#domain/host";
import { startBinding } from "#store/arqs";
import { readClaim, waitingClaims } from "#store/claims";
import { changeDeployable, readDeployable } from "#store/deployables";
import { readBeat, replaceBeat } from "#store/hosts";
import { changeImage } from "#store/images";
import { assign, assignWaiting, type Binding } from "../../functions/parts/binding.ts";
import { Catalogue } from "../../functions/parts/catalogue.ts";
import {
  addClaimRow,
  addDeployable,
  addHost,
  addImageRow,
  handleOf,
  heldHandle,
  idOf,
  type TestStore,
  testStore,
} from "../http/rows.ts";

let store: TestStore;
let host: Host;
let binding: Binding;

beforeEach(async () => {
  store = testStore();
  host = await addHost(store, "node1");
  const all = (deployables: readonly Deployable[]) => deployables.map(({ id }) => id);
  binding = {
    store,
    catalogue: new Catalogue(store),
    provider: (_, provider, deployables) => {
      const known = { members: all(deployables) };
      if (provider === "rp-b") return { ...known, handle: "b" };
      return provider === "rp" ? known : undefined;
    },
    traits: (_, { region }) => (region === "port1" ? ["CUSTOM_SHOWN"] : []),
  };
});

/** A claim whose bind on the host's provider was begun. */
async function begun(asks: Partial<Asks> = {}, name = "arq", provider = "rp"): Promise<Claim> {
  const claim = await addClaimRow(store, name, {
    state: "Initial",
    profile: "dp1",
    asks: { required: [], forbidden: [], ...asks },
  });
  const order = { host: host.id, hostName: "node1", provider, instance: idOf(`vm-${name}`) };
  const [started] = await startBinding(store, [{ ...order, claim }], 180_000);
  if (started === undefined) throw new Error("it was begun");
  return started;
}

const named = async (name: string) => await readDeployable(store, host.id, idOf(`node1/${name}`));

describe("a claim that is to be bound", () => {
  test("takes a free card behind its provider as it is", async () => {
    const card = await addDeployable(store, host, "port0");
    const claim = await assign(binding, await begun());
    expect(claim).toMatchObject({ state: "BindStarted", deployable: card.id, handle: "pf" });
    expect(await readClaim(store, claim.id)).toEqual(claim);
    expect((await named("port0"))?.imageGeneration).toBe(card.imageGeneration);
  });

  test("has the image it names programmed, and prefers the card that has it", async () => {
    const image = await addImageRow(store, "crypto");
    const { id: imageId, sha256 = "", functionId = "" } = image;
    const loaded = { functionId, imageId, sha256 };
    await addDeployable(store, host, "port0");
    await addDeployable(store, host, "port1", { loaded });
    const first = await assign(binding, await begun({ image: image.id }, "one"));
    expect(first).toMatchObject({ deployable: idOf("node1/port1"), image: image.id });
    const second = await assign(binding, await begun({ image: image.id }, "two"));
    expect(second.deployable).toBe(idOf("node1/port0"));
    expect((await named("port0"))?.wish).toMatchObject({ image: { id: image.id } });
  });

  test("has a function it names programmed from the newest image that fits the card", async () => {
    const functionId = idOf("function");
    await addImageRow(store, "for another region", { interfaceId: idOf("elsewhere") });
    const image = await addImageRow(store, "crypto");
    await addDeployable(store, host, "port0");
    const claim = await assign(binding, await begun({ functionId: functionId.toUpperCase() }));
    expect(claim.image).toBe(image.id);
  });

  test("gets a trait that no card has from an image that brings it", async () => {
    const image = await addImageRow(store, "crypto");
    await addDeployable(store, host, "port0");
    const claim = await assign(binding, await begun({ required: ["CUSTOM_HW_CRYPTO"] }));
    expect(claim).toMatchObject({ deployable: idOf("node1/port0"), image: image.id });
  });

  test("is never given another project's private image for a trait", async () => {
    await addImageRow(store, "crypto", { project: "p2", visibility: "private" });
    await addDeployable(store, host, "port0");
    const claim = await assign(binding, await begun({ required: ["CUSTOM_HW_CRYPTO"] }));
    expect(claim).toMatchObject({ state: "BindFailed", reason: { code: "NO_CAPACITY" } });
  });
});

test("a trait that Placement shows for one card counts, in whatever words it is", async () => {
  for (const region of ["port0", "port1"]) await addDeployable(store, host, region);
  const required = ["CUSTOM_SHOWN", "CUSTOM_HW_INTEL"];
  const first = await assign(binding, await begun({ required }, "one"));
  expect(first).toMatchObject({ deployable: idOf("node1/port1"), handle: "pf" });
  const second = await assign(binding, await begun({ required }, "two"));
  expect(second.reason?.code).toBe("NO_CAPACITY");
});

test("a provider that stands for one handle gives this one, and waits for this one", async () => {
  const handles = { a: handleOf(), b: handleOf({ address: "0000:3b:00.1" }) };
  const card = await addDeployable(store, host, "port0", { handles, sharing: "any" });
  const first = await assign(binding, await begun({}, "one", "rp-b"));
  expect(first).toMatchObject({ deployable: card.id, handle: "b" });
  const second = await assign(binding, await begun({}, "two", "rp-b"));
  expect(second).toMatchObject({ state: "BindFailed", reason: { code: "NO_CAPACITY" } });
});

describe("a claim whose cards are all busy", () => {
  test("waits behind a scrub and gets the card when it is offered again", async () => {
    const handles = { pf: handleOf({ state: "releasing" }) };
    await addDeployable(store, host, "port0", { handles, clean: false });
    const claim = await begun();
    expect(await assign(binding, claim)).toEqual(claim);
    expect(await waitingClaims(store, host.id)).toHaveLength(1);
    const where = { host: host.id, id: idOf("node1/port0") };
    await changeDeployable(store, where, (one) => ({
      ...one,
      handles: { pf: handleOf() },
      clean: true,
      revision: one.revision + 1,
    }));
    expect(await assignWaiting(binding, host.id)).toBe(1);
    expect(await readClaim(store, claim.id)).toMatchObject({ handle: "pf" });
    expect(await waitingClaims(store, host.id)).toEqual([]);
  });

  test("comes before one that was made later", async () => {
    const handles = { pf: handleOf({ state: "releasing" }) };
    const card = await addDeployable(store, host, "port0", { handles, clean: false });
    const first = await begun({}, "first");
    store.pass(10);
    const second = await begun({}, "second");
    for (const claim of [second, first]) await assign(binding, claim);
    await changeDeployable(store, { host: host.id, id: card.id }, (one) => ({
      ...one,
      handles: { pf: handleOf() },
      clean: true,
      revision: one.revision + 1,
    }));
    await assignWaiting(binding, host.id);
    expect(await readClaim(store, first.id)).toMatchObject({ handle: "pf" });
  });

  test.each<[string, Partial<Deployable>]>([
    ["held by a claim", { handles: { pf: heldHandle("p2", idOf("other")) } }],
    ["disabled", { enabled: false }],
    ["gone", { present: false }],
    ["degraded", { health: { state: "degraded" } }],
    ["of a silent host", { hostOnline: false }],
    ["without a scrub method", { scrubMethod: undefined }],
    ["failed", { outcome: { generation: 4, result: "failed" } }],
  ])("fails at once when the only card is %s", async (_, facts) => {
    await addDeployable(store, host, "port0", facts);
    const claim = await assign(binding, await begun());
    expect(claim).toMatchObject({ state: "BindFailed", reason: { code: "NO_CAPACITY" } });
  });
});

describe("a bind that can never succeed fails with the reason", () => {
  test("for a provider nobody knows", async () => {
    await addDeployable(store, host, "port0");
    const claim = await assign(binding, await begun({}, "arq", "elsewhere"));
    expect(claim).toMatchObject({ state: "BindFailed", reason: { code: "UNKNOWN_DEPLOYABLE" } });
  });

  test("for an image or a function that is not there, or not active any more", async () => {
    await addDeployable(store, host, "port0");
    const missing = await assign(binding, await begun({ image: idOf("none") }, "one"));
    expect(missing.reason?.code).toBe("UNKNOWN_IMAGE");
    const unknown = await assign(binding, await begun({ functionId: idOf("none") }, "two"));
    expect(unknown.reason?.code).toBe("UNKNOWN_IMAGE");
    const image = await addImageRow(store, "crypto");
    await binding.catalogue.get(image.id, { project: "p1", isAdmin: false });
    await changeImage(store, image.id, (one) => ({ ...one, state: "retired" }));
    const retired = await assign(binding, await begun({ image: image.id }, "three"));
    expect(retired.reason?.code).toBe("IMAGE_NOT_ACTIVE");
  });

  test("for a host that is not heard any more", async () => {
    await addDeployable(store, host, "port0");
    const claim = await begun();
    const beat = await readBeat(store, host.id);
    await replaceBeat(store, beat, { ...beat, seenAt: store.now() - 120_001 });
    expect((await assign(binding, claim)).reason?.code).toBe("HOST_OFFLINE");
  });
});

test("a claim that does not wait stays as it is", async () => {
  const bound = await addClaimRow(store, "bound", { handle: "pf" });
  expect(await assign(binding, bound)).toBe(bound);
});

test("many claims that begin at once get one card each, and the rest are told", async () => {
  await addDeployable(store, host, "port0");
  await addDeployable(store, host, "port1");
  const claims = [];
  for (const name of ["a", "b", "c", "d"]) claims.push(await begun({}, name));
  const after = await Promise.all(claims.map(async (claim) => await assign(binding, claim)));
  expect(new Set(after.flatMap(({ deployable }) => deployable ?? [])).size).toBe(2);
  expect(after.filter(({ state }) => state === "BindFailed")).toHaveLength(2);
});
