import { createHmac } from "node:crypto";
import { exportSPKI, generateKeyPair, importJWK, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { authorizerFunction, create, type Verdict } from "../../functions/http/authorizer.ts";
import { identifierFor } from "../../functions/parts/identity.ts";
import type { Settings } from "../../functions/parts/settings.ts";
import { type Issuer, startIssuer } from "./issuer.ts";
import { start } from "./rows.ts";

const audience = "gatehouse";

function authorizer(
  settings: Partial<Settings>,
  parts: { readonly cooldownMs?: number; readonly log?: (message: string) => void } = {},
) {
  const identify = identifierFor({
    settings: { auth: "none", oidc: { issuer: "", audience }, ...settings },
    openstackSettings: { serviceRoles: ["service"], tokenCacheMs: 60_000 },
    fetch: globalThis.fetch,
    now: () => start,
    cooldownMs: 0,
    log: () => undefined,
    ...parts,
  });
  const judged = authorizerFunction(identify);
  return async (headers: Readonly<Record<string, string>>): Promise<Verdict> =>
    await judged({ headers }, {} as never);
}

describe("on loopback", () => {
  const ask = authorizer({ auth: "none" });
  const here = { host: "127.0.0.1:4510" };

  test("a program on this machine is an admin of the project default", async () => {
    expect(await ask(here)).toEqual({
      isAuthorized: true,
      context: { project: "default", user: "default", roles: "admin" },
    });
  });

  test("headers say project, user and roles; unknown and repeated roles are dropped", async () => {
    const said = {
      "x-project-id": "p1",
      "x-user-id": "bob",
      "x-roles": "reader,member, root,reader",
    };
    expect(await ask({ ...here, ...said })).toEqual({
      isAuthorized: true,
      context: { project: "p1", user: "bob", roles: "reader,member" },
    });
  });

  test.each([
    "127.0.0.1",
    "127.0.0.1:1",
    "localhost",
    "LOCALHOST:4510",
    "[::1]",
    "[::1]:4510",
    "abc.execute-api.localhost:4566",
  ])("the host %s is this machine", async (host) => {
    expect(await ask({ host })).toMatchObject({ isAuthorized: true });
  });

  test.each([
    "evil.example",
    "evil.example:4510",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "localhost.evil.example",
    "notlocalhost",
    "localhost@evil.example",
    "127.0.0.1,evil.example",
    "192.168.1.5:4510",
    "0.0.0.0:4510",
    "",
  ])("the host %s may be rebound by a web page and is refused", async (host) => {
    expect(await ask({ host })).toEqual({ isAuthorized: false });
  });

  test("a request without a host is refused", async () => {
    expect(await ask({})).toEqual({ isAuthorized: false });
  });

  test.each(["http://localhost:3000", "https://127.0.0.1", "http://[::1]:8080"])(
    "a page of this machine (%s) may call",
    async (origin) => {
      expect(await ask({ ...here, origin })).toMatchObject({ isAuthorized: true });
    },
  );

  test.each([
    "https://evil.example",
    "http://localhost.evil.example",
    "http://127.0.0.1@evil.example",
    "http://localhost/../evil",
    "file://localhost",
    "null",
    "",
  ])("a page of %s may not", async (origin) => {
    expect(await ask({ ...here, origin })).toEqual({ isAuthorized: false });
  });

  test.each([
    ["cross-site", false],
    ["same-origin", true],
    ["same-site", true],
    ["none", true],
  ])("a browser's request that is %s: allowed = %s", async (site, isAuthorized) => {
    expect(await ask({ ...here, "sec-fetch-site": site })).toMatchObject({ isAuthorized });
  });

  test.each([
    { "x-roles": "root" },
    { "x-roles": "" },
    { "x-project-id": "" },
    { "x-project-id": "a/b" },
    { "x-project-id": "a\nb" },
    { "x-project-id": ".." },
    { "x-project-id": "x".repeat(65) },
    { "x-project-id": "system" },
    { "x-user-id": "" },
    { "x-user-id": "a\tb" },
  ])("%j is nobody", async (headers) => {
    expect(await ask({ ...here, ...headers })).toEqual({ isAuthorized: false });
  });

  test("a manager is known, and a service has no rights of its own", async () => {
    expect(await ask({ ...here, "x-roles": "manager,service" })).toMatchObject({
      isAuthorized: true,
      context: { roles: "manager" },
    });
    expect(await ask({ ...here, "x-roles": "service" })).toEqual({ isAuthorized: false });
  });

  test("a refusal says which setting is the reason", async () => {
    const heard: string[] = [];
    const listened = authorizer({ auth: "none" }, { log: (message) => heard.push(message) });
    await listened({ host: "evil.example" });
    expect(heard.join(" ")).toMatch(/GATEHOUSE_AUTH=none.*evil\.example/);
  });
});

describe("with OIDC", () => {
  let issuer: Issuer;
  let ask: ReturnType<typeof authorizer>;
  beforeAll(async () => {
    issuer = await startIssuer(audience, start);
    ask = oidc();
  });
  afterAll(async () => {
    await issuer.close();
  });

  function oidc(parts: Parameters<typeof authorizer>[1] = {}, url = issuer.url) {
    return authorizer({ auth: "oidc", oidc: { issuer: url, audience } }, parts);
  }
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  const verdict = async (claims: object) => await ask(bearer(await issuer.sign(claims)));

  test("claims become project, user and roles", async () => {
    expect(await verdict({ roles: ["admin", "offline_access"] })).toEqual({
      isAuthorized: true,
      context: { project: "p1", user: "alice", roles: "admin" },
    });
  });

  test("roles may be one text, and our own claims win over the common ones", async () => {
    const own = { gatehouse_project: "p9", gatehouse_roles: "reader member", roles: ["admin"] };
    expect(await verdict(own)).toEqual({
      isAuthorized: true,
      context: { project: "p9", user: "alice", roles: "reader,member" },
    });
  });

  test.each(["RS256", "PS256", "ES256", "EdDSA"])("%s is believed", async (alg) => {
    const other = await startIssuer(audience, start);
    try {
      await other.rotate(alg);
      const judged = oidc({}, other.url);
      expect(await judged(bearer(await other.sign()))).toMatchObject({ isAuthorized: true });
    } finally {
      await other.close();
    }
  });

  test.each([
    ["no project", { project_id: undefined }],
    ["a project that is no text", { project_id: 7 }],
    ["a project with a separator", { project_id: "a/b" }],
    ["the audit's own scope as project", { project_id: "system" }],
    ["no roles", { roles: undefined }],
    ["only roles that mean nothing here", { roles: ["root", "owner"] }],
    ["roles that are no texts", { roles: [7, null] }],
    ["an object as roles", { roles: { admin: true } }],
  ])("a valid token with %s is known but not authorized", async (_, claims) => {
    expect(await verdict(claims)).toEqual({ isAuthorized: false });
  });

  const seconds = start / 1000;
  test.each([
    ["of another issuer", { iss: "https://other.example" }],
    ["for another audience", { aud: "other" }],
    ["without audience", { aud: undefined }],
    ["without end", { exp: undefined }],
    ["without subject", { sub: undefined }],
    ["that ended 31 s ago", { exp: seconds - 31 }],
    ["that begins in 31 s", { nbf: seconds + 31 }],
  ])("a token %s is refused", async (_, claims) => {
    await expect(verdict(claims)).rejects.toThrow(/^Unauthorized$/);
  });

  test.each([{ exp: seconds - 29 }, { nbf: seconds + 29 }, { aud: ["other", audience] }])(
    "a token with %j is within tolerance",
    async (claims) => {
      expect(await verdict(claims)).toMatchObject({ isAuthorized: true });
    },
  );

  const text = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const payload = () => ({
    iss: issuer.url,
    aud: audience,
    sub: "mallory",
    exp: seconds + 60,
    project_id: "p1",
    roles: ["admin"],
  });

  test.each([
    ["nothing", {}],
    ["an empty header", { authorization: "" }],
    ["another scheme", { authorization: "Basic YTpi" }],
    ["no token", { authorization: "Bearer " }],
    ["two parts", bearer("a.b")],
    ["five parts", bearer("a.b.c.d.e")],
    ["what is no JSON", bearer("a.b.c")],
    ["two headers in one", { authorization: "Bearer a.b.c,Bearer a.b.c" }],
  ])("%s is refused", async (_, headers) => {
    await expect(ask(headers as Record<string, string>)).rejects.toThrow(/^Unauthorized$/);
  });

  test("a changed payload is refused", async () => {
    const [header, , signature] = (await issuer.sign()).split(".");
    const forged = `${header}.${text(payload())}.${signature}`;
    await expect(ask(bearer(forged))).rejects.toThrow(/^Unauthorized$/);
  });

  test("a token without a signature is refused, whatever it calls that", async () => {
    for (const alg of ["none", "None", "NONE", ""]) {
      const forged = `${text({ alg, typ: "JWT" })}.${text(payload())}.`;
      await expect(ask(bearer(forged))).rejects.toThrow(/^Unauthorized$/);
      await expect(ask(bearer(`${forged}AA`))).rejects.toThrow(/^Unauthorized$/);
    }
  });

  test("the public key as an HMAC secret is refused", async () => {
    const key = await importJWK(issuer.jwk(), "ES256", { extractable: true });
    const secrets = [
      await exportSPKI(key as Parameters<typeof exportSPKI>[0]),
      JSON.stringify(issuer.jwk()),
    ];
    for (const secret of secrets) {
      const signed = `${text({ alg: "HS256", kid: issuer.kid() })}.${text(payload())}`;
      const mac = createHmac("sha256", secret).update(signed).digest("base64url");
      await expect(ask(bearer(`${signed}.${mac}`))).rejects.toThrow(/^Unauthorized$/);
    }
  });

  test("a key that the token brings along is not believed", async () => {
    const stranger = await startIssuer(audience, start);
    try {
      const header = { jwk: stranger.jwk(), jku: `${stranger.url}/keys`, kid: issuer.kid() };
      const token = await stranger.sign({ iss: issuer.url }, header);
      await expect(ask(bearer(token))).rejects.toThrow(/^Unauthorized$/);
      expect(stranger.fetched().keys).toBe(0);
    } finally {
      await stranger.close();
    }
  });

  test("an algorithm that the key is not for is refused", async () => {
    const { privateKey } = await generateKeyPair("ES384");
    const token = await new SignJWT(payload())
      .setProtectedHeader({ alg: "ES384", kid: issuer.kid() })
      .sign(privateKey);
    await expect(ask(bearer(token))).rejects.toThrow(/^Unauthorized$/);
  });

  test("a rotated key is found, and tokens of the old one end", async () => {
    const old = await issuer.sign();
    const judged = oidc();
    expect(await judged(bearer(old))).toMatchObject({ isAuthorized: true });
    await issuer.rotate();
    expect(await judged(bearer(await issuer.sign()))).toMatchObject({ isAuthorized: true });
    await expect(judged(bearer(old))).rejects.toThrow(/^Unauthorized$/);
  });

  test("unknown keys do not make the issuer busy: it is asked again after the cool-down", async () => {
    const judged = oidc({ cooldownMs: 60_000 });
    const token = await issuer.sign();
    await judged(bearer(token));
    const { keys, discovery } = issuer.fetched();
    const unknown = await issuer.sign({}, { kid: "nobody's" });
    for (let times = 0; times < 5; times += 1) {
      await expect(judged(bearer(unknown))).rejects.toThrow(/^Unauthorized$/);
      expect(await judged(bearer(token))).toMatchObject({ isAuthorized: true });
    }
    expect(issuer.fetched()).toEqual({ keys, discovery });
  });

  test("an issuer that fails is no 401, and is asked again", async () => {
    const judged = oidc();
    const token = await issuer.sign();
    issuer.fail(503);
    await expect(judged(bearer(token))).rejects.toThrow(/answered 503/);
    issuer.fail(undefined);
    expect(await judged(bearer(token))).toMatchObject({ isAuthorized: true });
  });

  test("keys that cannot be fetched are no 401 either", async () => {
    const judged = oidc();
    const token = await issuer.sign();
    issuer.describe({ jwks_uri: `${issuer.url.replace("127.0.0.1", "localhost")}/nowhere` });
    await expect(judged(bearer(token))).rejects.not.toThrow(/^Unauthorized$/);
    issuer.describe({});
    expect(await judged(bearer(token))).toMatchObject({ isAuthorized: true });
  });

  test("keys that were found once serve on while the issuer is away", async () => {
    const judged = oidc();
    const token = await issuer.sign();
    const unknown = await issuer.sign({}, { kid: "nobody's" });
    expect(await judged(bearer(token))).toMatchObject({ isAuthorized: true });
    issuer.fail(503);
    await expect(judged(bearer(unknown))).rejects.not.toThrow(/^Unauthorized$/);
    expect(await judged(bearer(token))).toMatchObject({ isAuthorized: true });
    issuer.fail(undefined);
  });

  test.each([
    ["of another issuer", { issuer: "https://other.example" }, /is of issuer/],
    ["with keys over plain HTTP", { jwks_uri: "http://keys.example/jwks" }, /https/],
    ["without keys", { jwks_uri: undefined }, /jwks_uri/],
  ])("a discovery document %s is not believed", async (_, document, why) => {
    const judged = oidc();
    issuer.describe(document);
    const token = await issuer.sign();
    await expect(judged(bearer(token))).rejects.toThrow(why);
    issuer.describe({});
  });

  test.each(["", "issuer.example", "http://issuer.example", "ftp://issuer.example"])(
    "the issuer %j is refused by the setting's name before any call",
    (url) => {
      expect(() => oidc({}, url)).toThrow(/GATEHOUSE_OIDC_ISSUER/);
    },
  );
});

describe("as deployed", () => {
  const environment = { GATEHOUSE_TABLE: "t", GATEHOUSE_BUCKET: "b" };

  test.each([
    [{}, "OS_AUTH_URL"],
    [{ PLACEMENT_ENDPOINT: "http://placement" }, "OS_AUTH_URL"],
    [{ OS_AUTH_URL: "http://keystone" }, "OS_USERNAME"],
    [{ OS_AUTH_URL: "http://keystone", OS_USERNAME: "u" }, "OS_PASSWORD"],
  ])("Keystone with %j only is refused at once by the setting's name", (set, name) => {
    const wanted = { ...environment, GATEHOUSE_AUTH: "keystone", ...set };
    expect(() => create(wanted)).toThrow(new RegExp(`^${name}: needed with `));
  });

  test("without a setting nobody is let in unproven", () => {
    expect(() => create(environment)).toThrow(/GATEHOUSE_OIDC_ISSUER/);
  });

  test("loopback mode works from the environment alone", async () => {
    const judged = create({ ...environment, GATEHOUSE_AUTH: "none" });
    expect(await judged({ headers: { host: "localhost" } }, {} as never)).toMatchObject({
      isAuthorized: true,
    });
  });
});
