import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openSession } from "#openstack/session";
import type { ClaimView } from "#protocol/http/claims";
import { type OperationId, routes } from "#protocol/http/routes";
import { type Identify, identifierFor } from "../../functions/parts/identity.ts";
import { openDoor } from "../accelerator/support.ts";
import { account, authUrl, fakeCloud } from "../keystone/fake-cloud.ts";
import { type Callers, type Credentials, startCallers } from "./callers.ts";
import { leaked, rowsOf } from "./judge.ts";
import { type Ask, identifyBy, nativeDoor } from "./native-door.ts";
import { nativeRows } from "./native-rows.ts";
import { copyOf, ids, makeKeys, makeWorld, owner, stranger, type World } from "./world.ts";

/** What a request may try with its headers, its path and its idempotency key. */

let callers: Callers;
let made: World;
let world: World;
let identify: Identify;
let ask: Ask;

beforeAll(async () => {
  callers = await startCallers();
  identify = identifyBy(callers);
  made = await makeWorld(makeKeys());
});
afterAll(async () => {
  await callers.close();
});
beforeEach(async () => {
  world = await copyOf(made);
  ask = nativeDoor(world, identify);
});

const spoofed = {
  "x-project-id": owner,
  "x-user-id": "root",
  "x-roles": "admin",
  "x-role": "admin",
  "x-tenant-id": owner,
  "x-identity-status": "Confirmed",
  "x-is-admin-project": "True",
  "x-service-roles": "service",
  "x-forwarded-user": owner,
  "x-amzn-oidc-data": "e30.e30.e30",
};

describe("headers that name a project and roles", () => {
  test("count for nothing beside an OIDC token", async () => {
    const headers = { ...(await callers.good(stranger, "reader")), ...spoofed };
    const list = await ask("listClaims", { headers });
    expect(list).toMatchObject({ status: 200 });
    expect(JSON.parse(list.text)).toEqual({ items: [] });
    expect(await ask("listHosts", { headers })).toMatchObject({ status: 403, code: "FORBIDDEN" });
    const path = { claim: ids.claim };
    expect(await ask("getClaim", { headers, path })).toMatchObject({ code: "UNKNOWN_CLAIM" });
  });

  test("are no token, with OIDC and with Keystone", async () => {
    const keystone = withKeystone();
    for (const door of [ask, nativeDoor(world, keystone)]) {
      expect(await door("listClaims", { headers: spoofed })).toMatchObject({ status: 401 });
    }
    for (const one of [identify, keystone]) {
      const { ask: asked } = openDoor({}, { identify: one });
      expect(await asked("GET", "/v2/devices", { headers: spoofed })).toMatchObject({
        status: 401,
      });
    }
  });

  test("count for nothing beside a token of Keystone, on both APIs", async () => {
    const keystone = withKeystone();
    const headers = { ...spoofed, "x-auth-token": "t1" };
    const list = await nativeDoor(world, keystone)("listClaims", { headers });
    expect(JSON.parse(list.text)).toEqual({ items: [] });
    const door = openDoor({}, { identify: keystone });
    expect((await door.ask("GET", "/v2/devices", { headers })).status).toBe(403);
    expect((await door.ask("GET", "/v2/accelerator_requests", { headers })).status).toBe(200);
  });

  test("an OIDC token is none where Keystone is asked, and the other way round", async () => {
    const bearer = await callers.good(owner, "admin");
    const token = bearer["authorization"]?.slice("Bearer ".length) ?? "";
    const both = nativeDoor(world, withKeystone());
    expect(await both("listClaims", { headers: bearer })).toMatchObject({ status: 401 });
    expect(await both("listClaims", { headers: { "x-auth-token": token } })).toMatchObject({
      status: 401,
    });
    expect(await ask("listClaims", { headers: { "x-auth-token": token } })).toMatchObject({
      status: 401,
    });
  });

  function withKeystone(): Identify {
    const cloud = fakeCloud();
    cloud.subjects.set("t1", { project: stranger, roles: ["member"] });
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
      openstackSettings: { serviceRoles: ["service"], tokenCacheMs: 0 },
      fetch,
      now,
      cooldownMs: 0,
      log: () => undefined,
    });
  }
});

describe("a header that comes twice, which the gateway joins by a comma", () => {
  test.each([
    ["two tokens", (token: string) => `${token},${token}`],
    ["a token with a tail", (token: string) => `${token}\r\nX-Roles: admin`],
    ["a token behind a line", (token: string) => `Bearer x\r\n${token}`],
    ["a token with NUL", (token: string) => `${token}\0`],
  ])("%s", async (_, change) => {
    const { authorization = "" } = await callers.good(owner, "admin");
    const headers = { authorization: change(authorization) };
    expect(await ask("listClaims", { headers })).toMatchObject({ status: 401 });
  });
});

describe("on loopback", () => {
  const local = { host: "127.0.0.1:4510" };

  test.each<readonly [string, Credentials]>([
    ["another host's name", { host: "gatehouse.example" }],
    ["a name that only begins like ours", { host: "127.0.0.1.evil.example" }],
    ["a name that only ends like ours", { host: "notlocalhost" }],
    ["no host", {}],
    ["a web page's origin", { ...local, origin: "https://evil.example" }],
    ["a page that tells no origin", { ...local, origin: "null" }],
    ["an origin with our name in it", { ...local, origin: "http://localhost@evil.example" }],
    ["a cross-site request", { ...local, "sec-fetch-site": "cross-site" }],
    ["two projects", { ...local, "x-project-id": "p1,victim" }],
    ["a project with a separator", { ...local, "x-project-id": "p1#victim" }],
    ["a project with a line", { ...local, "x-project-id": "p1\r\nvictim" }],
    ["a project that climbs", { ...local, "x-project-id": "../victim" }],
    ["the audit's own scope", { ...local, "x-project-id": "system" }],
  ])("%s is refused at both doors", async (_, headers) => {
    const asked = openDoor();
    const native = nativeDoor(world, asked.parts.identify);
    const before = rowsOf(world);
    const body = { resourceClass: "CUSTOM_FPGA_INTEL_PF" };
    expect(await native("createClaims", { headers, body })).toMatchObject({ status: 403 });
    expect(rowsOf(world)).toBe(before);
    const { host = "", ...others } = headers;
    const answer = await asked.ask("GET", "/v2/devices", {
      roles: "admin",
      headers: { host, ...others },
    });
    expect(answer.status).toBe(403);
  });
});

const odd: readonly (readonly [string, string])[] = [
  ["a line end", "x\r\nset-cookie: a=b"],
  ["NUL", "x\0y"],
  ["dots that climb", "../../victim"],
  ["encoded dots", "%2e%2e%2fvictim"],
  ["twice encoded dots", "%252e%252e"],
  ["a backslash", "..\\victim"],
  ["the table's separator", "x#CLAIM"],
  ["another row's key", `CLAIM#${ids.claim}`],
  ["a key range", "~"],
  ["a wildcard", "*"],
  ["a built-in's name", "__proto__"],
  ["a constructor", "constructor"],
  ["an overlong one", "a".repeat(5000)],
  ["many bytes", "\u{1F600}".repeat(100)],
  ["half a character", "\ud800"],
  ["a uuid in other case", ids.claim.toUpperCase()],
  ["a uuid with a tail", `${ids.claim}/`],
  ["a uuid behind a blank", ` ${ids.claim}`],
];

const withPath = (Object.keys(routes) as OperationId[]).filter((one) =>
  routes[one].path.includes("{"),
);

describe.each(withPath)("the path of %s", (operation) => {
  test.each(odd)("with %s is the caller's mistake", async (_, value) => {
    const names = [...routes[operation].path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
    const { body } = nativeRows[operation] ?? {};
    for (const name of names) {
      const row = nativeRows[operation]?.path ?? {};
      const path = { ...(typeof row === "function" ? row(world) : row), [name]: value };
      const headers = await callers.good(stranger, "admin");
      const before = rowsOf(world);
      const answer = await ask(operation, {
        path,
        headers,
        ...(body === undefined ? {} : { body: body(world) }),
      });
      const mayBe = name === "project" ? [200, 400, 404] : [400, 404];
      expect(mayBe, `${answer.status} ${answer.text}`).toContain(answer.status);
      if (answer.status >= 400) expect(rowsOf(world)).toBe(before);
    }
  });
});

describe("an idempotency key", () => {
  const body = { resourceClass: "CUSTOM_FPGA_INTEL_PF", count: 1 };
  const claim = async (project: string, key: string, changes: object = {}) =>
    await ask("createClaims", {
      headers: { ...(await callers.good(project, "member")), "idempotency-key": key },
      body: { ...body, ...changes },
    });
  const claimsIn = (text: string) =>
    (JSON.parse(text) as { claims: readonly ClaimView[] }).claims.map(({ id }) => id);

  test("of one project tells another project nothing of what it made", async () => {
    const first = await claim(owner, "k1");
    expect(first.status).toBe(201);
    const other = await claim(stranger, "k1");
    expect(other.status).toBe(201);
    expect(claimsIn(other.text)).not.toEqual(claimsIn(first.text));
    expect(leaked(other.text, "")).toEqual([]);
    expect(JSON.parse(other.text)).toMatchObject({ claims: [{ project: stranger }] });
  });

  test("repeats its own project's answer and makes no second claim", async () => {
    const first = await claim(owner, "k1");
    const before = rowsOf(world);
    expect(claimsIn((await claim(owner, "k1")).text)).toEqual(claimsIn(first.text));
    expect(rowsOf(world)).toBe(before);
  });

  test("with another body is refused, also across routes it is another key", async () => {
    await claim(owner, "k1");
    expect(await claim(owner, "k1", { count: 2 })).toMatchObject({
      status: 422,
      code: "IDEMPOTENCY_MISMATCH",
    });
    const headers = { ...(await callers.good(owner, "member")), "idempotency-key": "k1" };
    const image = nativeRows["createImage"]?.body?.(world);
    expect(await ask("createImage", { headers, body: image })).toMatchObject({ status: 201 });
  });

  test("of a release does not answer for a claim that is another's", async () => {
    const key = async (project: string) => ({
      ...(await callers.good(project, "member")),
      "idempotency-key": "k2",
    });
    const path = { claim: ids.claim };
    expect(await ask("releaseClaim", { path, headers: await key(owner) })).toMatchObject({
      status: 202,
    });
    const other = await ask("releaseClaim", { path, headers: await key(stranger) });
    expect(other).toMatchObject({ status: 404, code: "UNKNOWN_CLAIM" });
  });

  test("of a join token gives the token to its own project's admins only", async () => {
    const made = async (project: string) => {
      const headers = { ...(await callers.good(project, "admin")), "idempotency-key": "k3" };
      const { text } = await ask("createJoinToken", { headers, path: { host: ids.host } });
      return (JSON.parse(text) as { joinToken: string }).joinToken;
    };
    const token = await made(owner);
    expect(await made(owner)).toBe(token);
    expect(await made(stranger)).not.toBe(token);
    expect(rowsOf(world)).not.toContain(token);
  });

  test.each([
    ["none", "", 400],
    ["one that is too long", "k".repeat(256), 400],
    ["one of line ends", "a\r\nb", 201],
    ["one that looks like a key of the table", "IDEMPOTENCY#x", 201],
    ["one with NUL", "a\0b", 201],
  ])("%s is judged by its length alone", async (_, key, status) => {
    expect(await claim(owner, key)).toMatchObject({ status });
  });
});
