import { describe, expect, test } from "vitest";
import { openSession } from "#openstack/session";
import { authorizerFunction } from "../../functions/http/authorizer.ts";
import { type Identifying, identifierFor } from "../../functions/parts/identity.ts";
import { account, authUrl, type FakeCloud, fakeCloud, type Subject } from "./fake-cloud.ts";

function identifier(cloud: FakeCloud, parts: Partial<Identifying> = {}) {
  const { fetch, now } = cloud;
  return identifierFor({
    settings: { auth: "keystone", oidc: { issuer: "", audience: "" } },
    openstack: openSession({
      fetch,
      now,
      keystone: { authUrl, account },
      endpoints: {},
      interface: "public",
    }),
    openstackSettings: { serviceRoles: ["service"], tokenCacheMs: 60_000 },
    fetch,
    now,
    cooldownMs: 0,
    log: () => undefined,
    ...parts,
  });
}

/** Asks who somebody with this token is; Nova's own token is `nova`. */
async function identityOf(subject: Subject, headers: object = {}) {
  const cloud = fakeCloud();
  cloud.subjects.set("t1", subject);
  cloud.subjects.set("nova", { user: "nova", project: "service", roles: ["Service", "admin"] });
  cloud.subjects.set("bob", { user: "bob", project: "p2", roles: ["admin"] });
  return await identifier(cloud)({ "x-auth-token": "t1", ...headers });
}

const member: Subject = { project: "p1", roles: ["member"] };

describe("with Keystone", () => {
  test.each([
    [["reader"], ["reader"], false],
    [["member"], ["member", "reader"], false],
    [["manager"], ["manager", "member", "reader"], false],
    [["admin"], ["admin", "manager", "member", "reader"], true],
    [["reader", "Admin", "reader"], ["reader", "admin", "manager", "member"], true],
    [["service"], ["service"], false],
    [["member", "auditor"], ["member", "reader"], false],
  ])("the roles %j are %j, admin = %s", async (roles, known, isAdmin) => {
    expect(await identityOf({ project: "p1", roles })).toEqual({
      project: "p1",
      user: "alice",
      roles: known,
      isAdmin,
      isService: false,
    });
  });

  test.each([
    ["without a scope", { roles: ["admin"] }],
    ["of a domain", { isDomain: true, roles: ["admin"] }],
    ["of the system", { isSystem: true, roles: ["admin"] }],
    ["without a role", { project: "p1" }],
    ["with unknown roles only", { project: "p1", roles: ["auditor"] }],
    ["of the audit's own scope", { project: "system", roles: ["admin"] }],
    ["of a project that could not be a key", { project: "a/b", roles: ["admin"] }],
    ["of a user that could not be written", { ...member, user: "a\nb" }],
  ])("a token %s is forbidden", async (_, subject) => {
    expect(await identityOf(subject)).toBe("forbidden");
  });

  test("nobody without a token, or with a wrong one, is known", async () => {
    expect(await identityOf(member, { "x-auth-token": undefined })).toBe("unauthenticated");
    expect(await identityOf(member, { "x-auth-token": "" })).toBe("unauthenticated");
    expect(await identityOf(member, { "x-auth-token": "t2" })).toBe("unauthenticated");
  });

  test("headers that other modes believe count for nothing", async () => {
    const headers = { "x-project-id": "p9", "x-roles": "admin", "x-user-id": "root" };
    expect(await identityOf(member, headers)).toMatchObject({
      project: "p1",
      user: "alice",
      isAdmin: false,
    });
    const alone = { ...headers, host: "localhost", "x-auth-token": undefined };
    expect(await identityOf(member, alone)).toBe("unauthenticated");
  });
});

describe("a service's token", () => {
  test("makes the user's call a service's", async () => {
    expect(await identityOf(member, { "x-service-token": "nova" })).toEqual({
      project: "p1",
      user: "alice",
      roles: ["member", "reader"],
      isAdmin: false,
      isService: true,
    });
  });

  test("of somebody without the role does not, whatever the user's own roles are", async () => {
    const own = { project: "p1", roles: ["member", "service"] };
    expect(await identityOf(own, { "x-service-token": "bob" })).toMatchObject({ isService: false });
    expect(await identityOf(own)).toMatchObject({ isService: false });
  });

  test.each(["", "nobody's"])("that is wrong (%j) spoils the call", async (token) => {
    expect(await identityOf(member, { "x-service-token": token })).toBe("unauthenticated");
  });

  test("may be another role's, as the settings say", async () => {
    const cloud = fakeCloud();
    cloud.subjects.set("t1", member);
    cloud.subjects.set("bob", { project: "p2", roles: ["compute"] });
    const openstackSettings = { serviceRoles: ["compute"], tokenCacheMs: 0 };
    const identify = identifier(cloud, { openstackSettings });
    const headers = { "x-auth-token": "t1", "x-service-token": "bob" };
    expect(await identify(headers)).toMatchObject({ isService: true });
  });

  test("lets a service, and nobody else, finish what a user began whose token ended", async () => {
    const late = { ...member, expiresAt: 0 };
    expect(await identityOf(late)).toBe("unauthenticated");
    expect(await identityOf(late, { "x-service-token": "bob" })).toBe("unauthenticated");
    expect(await identityOf(late, { "x-service-token": "nova" })).toMatchObject({ project: "p1" });
  });

  test("that ended is wrong, however the user's token is", async () => {
    const cloud = fakeCloud();
    cloud.subjects.set("t1", member);
    cloud.subjects.set("nova", { project: "service", roles: ["service"], expiresAt: 0 });
    const headers = { "x-auth-token": "t1", "x-service-token": "nova" };
    expect(await identifier(cloud)(headers)).toBe("unauthenticated");
  });

  test("is not looked at on loopback: there the caller's own roles tell", async () => {
    const oidc = { issuer: "", audience: "" };
    const cloud = fakeCloud();
    const identify = identifier(cloud, { settings: { auth: "none", oidc } });
    const here = { host: "localhost", "x-service-token": "nova" };
    expect(await identify(here)).toMatchObject({ isService: false, isAdmin: true });
    expect(await identify({ ...here, "x-roles": "member,service" })).toMatchObject({
      roles: ["member", "service"],
      isService: true,
    });
    expect(cloud.asked).toEqual([]);
  });
});

describe("the authorizer with Keystone", () => {
  const judging = (cloud: FakeCloud) => {
    const judge = authorizerFunction(identifier(cloud));
    return async (headers: object) => await judge({ headers }, {} as never);
  };

  test("names project, user and the roles of the native API", async () => {
    const cloud = fakeCloud();
    cloud.subjects.set("t1", { project: "p1", roles: ["manager", "service"] });
    expect(await judging(cloud)({ "x-auth-token": "t1" })).toEqual({
      isAuthorized: true,
      context: { project: "p1", user: "alice", roles: "manager,member,reader" },
    });
  });

  test("refuses who has no right there", async () => {
    const cloud = fakeCloud();
    cloud.subjects.set("t1", { project: "p1", roles: ["service"] });
    cloud.subjects.set("t2", { roles: ["admin"] });
    const judge = judging(cloud);
    expect(await judge({ "x-auth-token": "t1" })).toEqual({ isAuthorized: false });
    expect(await judge({ "x-auth-token": "t2" })).toEqual({ isAuthorized: false });
    await expect(judge({ "x-auth-token": "t3" })).rejects.toThrow(/^Unauthorized$/);
    await expect(judge({})).rejects.toThrow(/^Unauthorized$/);
  });

  test("fails while Keystone is away: that is no 401", async () => {
    const cloud = fakeCloud();
    cloud.interfere = () => Promise.reject(new TypeError("fetch failed"));
    await expect(judging(cloud)({ "x-auth-token": "t1" })).rejects.toMatchObject({
      code: "OPENSTACK_UNAVAILABLE",
    });
  });
});

test("without a session Keystone's mode does not begin", () => {
  expect(() => identifier(fakeCloud(), { openstack: undefined })).toThrow(/^OS_AUTH_URL: needed/);
});
