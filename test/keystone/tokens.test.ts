import { describe, expect, test } from "vitest";
import { tokenValidator } from "#openstack/keystone";
import { openSession } from "#openstack/session";
import { account, authUrl, type FakeCloud, fakeCloud } from "./fake-cloud.ts";

const minute = 60_000;

function validatorOf(cloud: FakeCloud, cacheMs = minute) {
  const { fetch, now } = cloud;
  const openstack = openSession({
    fetch,
    now,
    keystone: { authUrl, account },
    endpoints: {},
    interface: "public",
  });
  return tokenValidator({ openstack, now, cacheMs });
}

/** A cloud that knows alice's token `t1`, and a validator that asks it. */
function known(cacheMs?: number) {
  const cloud = fakeCloud();
  cloud.subjects.set("t1", { project: "p1", roles: ["member", "reader"] });
  return { cloud, validate: validatorOf(cloud, cacheMs) };
}

const unavailable = { code: "OPENSTACK_UNAVAILABLE", detail: { service: "identity" } };

describe("a token", () => {
  test("tells user, project, roles and its end", async () => {
    const { cloud, validate } = known();
    expect(await validate("t1")).toEqual({
      userId: "alice",
      projectId: "p1",
      roles: ["member", "reader"],
      expiresAt: Date.parse("2026-11-21T11:00:00Z"),
      isSystem: false,
    });
    const asked = cloud.asked.at(-1);
    expect(asked?.url).toBe(`${authUrl}/auth/tokens?nocatalog=1`);
    expect(asked?.headers).toMatchObject({ "x-subject-token": "t1", "x-auth-token": "own-1" });
  });

  test("without a scope, of a domain or of the system has no project", async () => {
    const { cloud, validate } = known();
    cloud.subjects.set("bare", {});
    cloud.subjects.set("domain", { isDomain: true, roles: ["admin"] });
    cloud.subjects.set("system", { isSystem: true, roles: ["admin"] });
    expect(await validate("bare")).toMatchObject({ projectId: undefined, roles: [] });
    expect(await validate("domain")).toMatchObject({ projectId: undefined, isSystem: false });
    expect(await validate("system")).toMatchObject({ projectId: undefined, isSystem: true });
  });

  test("that Keystone does not know is invalid", async () => {
    expect(await known().validate("t2")).toBe("invalid");
  });

  test.each([
    ["is empty", ""],
    ["has a blank", "a b"],
    ["has a line break", "t1\r\nx-auth-token: own-1"],
    ["is no ASCII", "tökên"],
    ["is endless", "x".repeat(8193)],
  ])("that %s is invalid without a question", async (_, token) => {
    const { cloud, validate } = known();
    expect(await validate(token)).toBe("invalid");
    expect(cloud.asked).toEqual([]);
  });
});

describe("the cache", () => {
  test("keeps a token for a minute and then asks again", async () => {
    const { cloud, validate } = known();
    await validate("t1");
    cloud.pass(minute - 1);
    await validate("t1");
    expect(cloud.validations()).toBe(1);
    cloud.pass(1);
    await validate("t1");
    expect(cloud.validations()).toBe(2);
  });

  test("lets a revoked token work for that long and no longer", async () => {
    const { cloud, validate } = known();
    await validate("t1");
    cloud.subjects.clear();
    cloud.pass(minute - 1);
    expect(await validate("t1")).toMatchObject({ userId: "alice" });
    cloud.pass(1);
    expect(await validate("t1")).toBe("invalid");
  });

  test("keeps no token beyond its end", async () => {
    const { cloud, validate } = known();
    cloud.subjects.set("short", { project: "p1", expiresAt: cloud.now() + 1000 });
    await validate("short");
    cloud.pass(999);
    expect(await validate("short")).toMatchObject({ projectId: "p1" });
    cloud.pass(1);
    expect(await validate("short")).toBe("invalid");
    expect(cloud.validations()).toBe(2);
  });

  test("of 0 seconds asks each time", async () => {
    const { cloud, validate } = known(0);
    await validate("t1");
    await validate("t1");
    await validate("t2");
    await validate("t2");
    expect(cloud.validations()).toBe(4);
  });

  test("keeps a wrong token for 5 s", async () => {
    const { cloud, validate } = known();
    await validate("t2");
    cloud.subjects.set("t2", { project: "p1" });
    cloud.pass(4999);
    expect(await validate("t2")).toBe("invalid");
    cloud.pass(1);
    expect(await validate("t2")).toMatchObject({ projectId: "p1" });
    expect(cloud.validations()).toBe(2);
  });

  test("keeps a right token however many wrong ones come by", async () => {
    const { cloud, validate } = known();
    await validate("t1");
    await Promise.all(
      Array.from({ length: 1_001 }, async (_, id) => await validate(`wrong-${id}`)),
    );
    const before = cloud.validations();
    await validate("t1");
    await validate("wrong-1000");
    expect(cloud.validations()).toBe(before);
    await validate("wrong-0");
    expect(cloud.validations()).toBe(before + 1);
  });

  test("asks once about a token that many bring at the same time", async () => {
    const { cloud, validate } = known();
    const found = await Promise.all(Array.from({ length: 20 }, async () => await validate("t1")));
    expect(new Set(found).size).toBe(1);
    expect(cloud.validations()).toBe(1);
    await Promise.all(Array.from({ length: 20 }, async (_, id) => await validate(`t${id % 2}`)));
    expect(cloud.validations()).toBe(2);
  });
});

describe("a token that ended", () => {
  test("is taken only where that is asked for, and remembered apart", async () => {
    const { cloud, validate } = known();
    cloud.subjects.set("late", { project: "p1", expiresAt: cloud.now() - 1 });
    expect(await validate("late")).toBe("invalid");
    expect(await validate("late", { allowExpired: true })).toMatchObject({ projectId: "p1" });
    expect(cloud.asked.at(-1)?.url).toContain("allow_expired=1");
    expect(await validate("late")).toBe("invalid");
    expect(await validate("late", { allowExpired: true })).toMatchObject({ projectId: "p1" });
    expect(cloud.validations()).toBe(2);
  });
});

describe("while Keystone", () => {
  const away = (cloud: FakeCloud) => {
    cloud.interfere = () => Promise.reject(new TypeError("fetch failed"));
  };

  test("is away, nobody is called invalid", async () => {
    const { cloud, validate } = known();
    away(cloud);
    await expect(validate("t1")).rejects.toMatchObject(unavailable);
    await expect(validate("t2")).rejects.toMatchObject(unavailable);
    cloud.interfere = () => undefined;
    expect(await validate("t1")).toMatchObject({ projectId: "p1" });
    expect(await validate("t2")).toBe("invalid");
  });

  test("is away, a token that was remembered goes on working for as long as it would", async () => {
    const { cloud, validate } = known();
    await validate("t1");
    away(cloud);
    cloud.pass(minute - 1);
    expect(await validate("t1")).toMatchObject({ projectId: "p1" });
    cloud.pass(1);
    await expect(validate("t1")).rejects.toMatchObject(unavailable);
  });

  test("is away, those who wait for one answer all hear of it", async () => {
    const { cloud, validate } = known();
    away(cloud);
    const waiting = await Promise.allSettled([validate("t1"), validate("t1")]);
    expect(waiting).toMatchObject([{ reason: unavailable }, { reason: unavailable }]);
  });

  test("ended our own token, it is renewed and the answer stands", async () => {
    const { cloud, validate } = known();
    await validate("t1");
    cloud.revokeOwn();
    expect(await validate("t2")).toBe("invalid");
    expect(cloud.authentications()).toBe(2);
  });

  test.each([
    [401, "Keystone does not let our account validate tokens (401)"],
    [403, "Keystone does not let our account validate tokens (403)"],
    [500, "Keystone answered 500 to a question about a token"],
    [300, "Keystone answered 300 to a question about a token"],
  ])("answers %i it is unavailable: %s", async (status, why) => {
    const { cloud, validate } = known();
    cloud.interfere = ({ method }) =>
      method === "GET" ? Response.json({}, { status }) : undefined;
    const message = `identity at ${authUrl}: ${why}`;
    await expect(validate("t1")).rejects.toMatchObject({ ...unavailable, message });
  });

  test.each([
    ["no JSON", "<html>"],
    ["nothing", "{}"],
    ["no user", '{"token":{"expires_at":"2026-11-21T11:00:00Z"}}'],
    ["no date", '{"token":{"user":{"id":"u"},"expires_at":"never"}}'],
    ["no list of roles", '{"token":{"user":{"id":"u"},"expires_at":"2026-11-21","roles":"admin"}}'],
  ])("answers with %s it is unavailable", async (_, text) => {
    const { cloud, validate } = known();
    cloud.interfere = ({ method }) => (method === "GET" ? new Response(text) : undefined);
    await expect(validate("t1")).rejects.toMatchObject(unavailable);
  });
});
