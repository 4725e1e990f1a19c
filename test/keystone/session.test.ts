import { describe, expect, test } from "vitest";
import { isFault } from "#domain/faults";
import { authRequest } from "#openstack/account";
import { openSession, type SessionOptions } from "#openstack/session";
import {
  account,
  authUrl,
  catalogEntry,
  type FakeCloud,
  fakeCloud,
  password,
} from "./fake-cloud.ts";

function sessionOf(cloud: FakeCloud, options: Partial<SessionOptions> = {}) {
  const { fetch, now } = cloud;
  const usual = { keystone: { authUrl, account }, endpoints: {}, interface: "public" } as const;
  return openSession({ fetch, now, ...usual, ...options });
}

const get = { service: "placement", method: "GET", path: "/things" } as const;

/** The fault a promise rejects with: its message and service. */
async function faultOf(promise: Promise<unknown>): Promise<{ message: string; service: unknown }> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isFault(error, "OPENSTACK_UNAVAILABLE")) throw new Error(`no such fault: ${String(error)}`);
  expect(JSON.stringify([error.message, error.detail, error.cause])).not.toMatch(
    new RegExp(`${password}|own-\\d|shh`),
  );
  return { message: error.message, service: error.detail["service"] };
}

describe("the token", () => {
  test("is asked for by the first call, sent with each and reused", async () => {
    const cloud = fakeCloud();
    const session = sessionOf(cloud);
    expect(cloud.asked).toEqual([]);
    expect((await session.send(get)).status).toBe(200);
    expect(JSON.parse((await session.send(get)).text)).toEqual({
      url: "http://placement.test/things",
      token: "own-1",
    });
    expect(cloud.authentications()).toBe(1);
    expect(JSON.parse(cloud.asked[0]?.body ?? "")).toEqual({
      auth: {
        identity: {
          methods: ["password"],
          password: {
            user: { name: "gatehouse", domain: { id: "default" }, password },
          },
        },
        scope: { project: { name: "service", domain: { id: "default" } } },
      },
    });
  });

  test.each([
    [3600, 3540],
    [120, 60],
    [40, 20],
  ])("that lives %i s is renewed after %i s", async (life, renewed) => {
    const cloud = fakeCloud();
    cloud.lifeSeconds = life;
    const session = sessionOf(cloud);
    await session.send(get);
    cloud.pass(renewed * 1000 - 1);
    await session.send(get);
    expect(cloud.authentications()).toBe(1);
    cloud.pass(1);
    await session.send(get);
    expect(cloud.authentications()).toBe(2);
  });

  test("lives by our own clock, however wrong Keystone's is", async () => {
    const cloud = fakeCloud();
    const session = sessionOf(cloud, { now: () => cloud.now() + 86_400_000 });
    await session.send(get);
    await session.send(get);
    expect(cloud.authentications()).toBe(1);
  });

  test("is asked for once by many calls at the same time", async () => {
    const cloud = fakeCloud();
    const session = sessionOf(cloud);
    await Promise.all(Array.from({ length: 20 }, async () => await session.send(get)));
    expect(cloud.authentications()).toBe(1);
    cloud.revokeOwn();
    const late = await Promise.all(Array.from({ length: 20 }, async () => await session.send(get)));
    expect(late.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(cloud.authentications()).toBe(2);
  });

  test("that a service refuses is renewed once, and the call repeated with its body", async () => {
    const cloud = fakeCloud();
    const session = sessionOf(cloud);
    await session.send(get);
    cloud.revokeOwn();
    const put = { ...get, method: "PUT", json: { a: 1 } } as const;
    expect((await session.send(put)).status).toBe(200);
    const sent = cloud.asked.filter(({ method }) => method === "PUT");
    expect(sent.map(({ body }) => body)).toEqual(['{"a":1}', '{"a":1}']);
    expect(sent.map(({ headers }) => headers["x-auth-token"])).toEqual(["own-1", "own-2"]);
  });

  test("that a service refuses for ever is renewed once for each call, and the 401 handed on", async () => {
    const cloud = fakeCloud();
    cloud.interfere = ({ url }) =>
      url.startsWith(authUrl) ? undefined : new Response("no", { status: 401 });
    const session = sessionOf(cloud);
    expect((await session.send(get)).status).toBe(401);
    expect(cloud.asked).toHaveLength(4);
    expect((await session.open(get)).status).toBe(401);
  });

  test("is new for the next call when a stream met the old one", async () => {
    const cloud = fakeCloud();
    const session = sessionOf(cloud);
    await session.send(get);
    cloud.revokeOwn();
    const put = () => ({ ...get, method: "PUT", body: new Blob(["x"]).stream() }) as const;
    expect((await session.send(put())).status).toBe(401);
    expect((await session.send(put())).status).toBe(200);
    expect(cloud.authentications()).toBe(2);
  });

  test("of somebody else is sent instead, and never renewed", async () => {
    const cloud = fakeCloud();
    const session = sessionOf(cloud, { endpoints: { placement: "http://p.test" } });
    expect((await session.send({ ...get, token: "theirs" })).status).toBe(401);
    expect(cloud.asked.map(({ headers }) => headers["x-auth-token"])).toEqual(["theirs"]);
  });

  test("is the word admin where there is no Keystone", async () => {
    const cloud = fakeCloud();
    const session = sessionOf(cloud, {
      keystone: undefined,
      endpoints: { placement: "http://p.test/" },
    });
    expect((await session.send(get)).status).toBe(401);
    expect(cloud.asked).toMatchObject([
      { url: "http://p.test/things", headers: { "x-auth-token": "admin" } },
    ]);
    expect(await session.endpoint("image")).toBeUndefined();
    expect(await session.endpoint("identity")).toBeUndefined();
    expect(await faultOf(session.send({ ...get, service: "image" }))).toEqual({
      message: "image: no endpoint is configured, and there is no OS_AUTH_URL",
      service: "image",
    });
  });
});

test("an application credential brings its own project", () => {
  const secret = "shh";
  expect(authRequest({ kind: "application_credential", credential: { id: "c1" }, secret })).toEqual(
    {
      auth: {
        identity: {
          methods: ["application_credential"],
          application_credential: { id: "c1", secret },
        },
      },
    },
  );
  const user = { name: "gatehouse", domain: { name: "Default" } };
  const named = {
    kind: "application_credential",
    credential: { name: "c" },
    user,
    secret,
  } as const;
  expect(authRequest(named)).toEqual({
    auth: {
      identity: {
        methods: ["application_credential"],
        application_credential: { name: "c", user, secret },
      },
    },
  });
});

describe("an endpoint", () => {
  const url = (region: string, kind: string) => ({
    region,
    interface: kind,
    url: `http://${kind}.${region.toLowerCase()}.test/`,
  });
  const twoRegions = () => {
    const cloud = fakeCloud();
    const all = ["One", "Two"].flatMap((region) =>
      ["public", "internal", "admin"].map((kind) => url(region, kind)),
    );
    cloud.catalog = [catalogEntry("placement", ...all), catalogEntry("image")];
    return cloud;
  };

  test.each([
    [{ interface: "public" }, "http://public.one.test"],
    [{ interface: "internal" }, "http://internal.one.test"],
    [{ interface: "public", region: "Two" }, "http://public.two.test"],
    [{ interface: "admin", region: "Two" }, "http://admin.two.test"],
    [{ interface: "public", region: "Three" }, undefined],
  ] as const)("for %j is %s", async (choice, found) => {
    expect(await sessionOf(twoRegions(), choice).endpoint("placement")).toBe(found);
  });

  test("that is missing is named with its region", async () => {
    const session = sessionOf(twoRegions(), { interface: "admin", region: "Three" });
    expect((await faultOf(session.send(get))).message).toBe(
      "placement: the catalog has no admin endpoint of it in region Three",
    );
    const anywhere = sessionOf(twoRegions());
    expect(await faultOf(anywhere.send({ ...get, service: "image" }))).toEqual({
      message: "image: the catalog has no public endpoint of it",
      service: "image",
    });
    expect(await anywhere.endpoint("compute")).toBeUndefined();
  });

  test("that is configured wins and is used as it is", async () => {
    const cloud = twoRegions();
    const endpoints = { placement: "http://own.test/a/b//" };
    const session = sessionOf(cloud, { endpoints, region: "Three" });
    expect(await session.endpoint("placement")).toBe("http://own.test/a/b");
    expect(cloud.asked).toEqual([]);
    await session.send({ ...get, query: { name: "a b&c", in_tree: undefined, x: "" } });
    expect(cloud.asked.at(-1)?.url).toBe("http://own.test/a/b/things?name=a+b%26c&x=");
  });

  test("of Keystone is where we authenticate", async () => {
    const cloud = fakeCloud();
    expect(await sessionOf(cloud).endpoint("identity")).toBe(authUrl);
    expect(cloud.asked).toEqual([]);
  });

  test("keeps the path of its URL", async () => {
    const cloud = fakeCloud();
    const compute = { region: "One", interface: "public", url: "http://c.test/compute/v2.1/" };
    cloud.catalog = [catalogEntry("compute", compute)];
    await sessionOf(cloud).send({ ...get, service: "compute" });
    expect(cloud.asked.at(-1)?.url).toBe("http://c.test/compute/v2.1/things");
  });
});

describe("a call", () => {
  const endpoints = { placement: "http://p.test" };

  test("sends JSON, or a body as it is, with headers of its own", async () => {
    const cloud = fakeCloud();
    const session = sessionOf(cloud, { endpoints });
    await session.send({ ...get, method: "POST", json: [1] });
    expect(cloud.asked.at(-1)).toMatchObject({
      method: "POST",
      body: "[1]",
      headers: { "content-type": "application/json", accept: "application/json" },
    });
    const patch = { "content-type": "application/openstack-images-v2.1-json-patch" };
    await session.send({ ...get, method: "PATCH", json: {}, headers: patch });
    expect(cloud.asked.at(-1)?.headers).toMatchObject(patch);
    await session.send({ ...get, method: "PUT", body: "text" });
    expect(cloud.asked.at(-1)).toMatchObject({ body: "text" });
    expect(cloud.asked.at(-1)?.headers["content-type"]).toBeUndefined();
  });

  test.each([204, 300, 302, 404, 409, 503])("hands on the status %i", async (status) => {
    const cloud = fakeCloud();
    cloud.interfere = ({ url }) =>
      url.startsWith(authUrl)
        ? undefined
        : new Response(null, { status, headers: { location: "http://thief.test" } });
    expect((await sessionOf(cloud, { endpoints }).send(get)).status).toBe(status);
    expect(cloud.asked.map(({ redirect }) => redirect)).toEqual(["manual", "manual"]);
  });

  test("that takes too long is given up", async () => {
    const cloud = fakeCloud();
    cloud.interfere = async ({ url }) =>
      url.startsWith(authUrl) ? undefined : await new Promise<never>(() => undefined);
    const session = sessionOf(cloud, { endpoints });
    expect(await faultOf(session.send({ ...get, timeoutMs: 5, query: { secret: "shh" } }))).toEqual(
      {
        message: "placement at http://p.test/things: no answer in 0.005 s",
        service: "placement",
      },
    );
    expect((await faultOf(session.open({ ...get, timeoutMs: 5 }))).service).toBe("placement");
  });

  test("whose answer stops in the middle is given up, unless its body is only passed on", async () => {
    const cloud = fakeCloud();
    const sources: ReadableStreamDefaultController<Uint8Array>[] = [];
    cloud.interfere = ({ url }) =>
      url.startsWith(authUrl)
        ? undefined
        : new Response(new ReadableStream({ start: (source) => void sources.push(source) }));
    const session = sessionOf(cloud, { endpoints });
    const opened = await session.open({ ...get, timeoutMs: 5 });
    const reading = opened.text();
    await new Promise((resolve) => setTimeout(resolve, 15));
    expect(cloud.asked.at(-1)?.signal?.aborted).toBe(false);
    const sending = session.send(get);
    await expect.poll(() => sources.length).toBe(2);
    sources[1]?.error(new Error("own-1 was cut off"));
    expect((await faultOf(sending)).message).toBe("placement at http://p.test/things: Error");
    sources[0]?.enqueue(new TextEncoder().encode("late"));
    sources[0]?.close();
    expect(await reading).toBe("late");
  });

  test("to a service that is not there says why", async () => {
    const cloud = fakeCloud();
    const cause = Object.assign(new Error("connect with own-1"), { code: "ECONNREFUSED" });
    cloud.interfere = async ({ url }) =>
      url.startsWith(authUrl)
        ? undefined
        : await Promise.reject(new TypeError("fetch failed", { cause }));
    expect((await faultOf(sessionOf(cloud, { endpoints }).send(get))).message).toBe(
      "placement at http://p.test/things: ECONNREFUSED",
    );
  });
});

describe("Keystone", () => {
  const answering = (answer: () => Promise<Response> | Response) => {
    const cloud = fakeCloud();
    cloud.interfere = ({ url }) => (url.startsWith(authUrl) ? answer() : undefined);
    return cloud;
  };
  const where = `identity at ${authUrl}/auth/tokens`;
  const token = { issued_at: "2026-11-21T10:00:00.0Z", expires_at: "2026-11-21T11:00:00.0Z" };
  const withToken = (body: unknown, status = 201) =>
    Response.json(body, { status, headers: { "x-subject-token": "own-1" } });

  test.each([
    [401, "Keystone refuses the user gatehouse (401)"],
    [403, "Keystone refuses the user gatehouse (403)"],
    [500, "answered 500"],
    [300, "answered 300"],
    [200, "answered 200"],
  ])("that answers %i makes the service unavailable: %s", async (status, why) => {
    const cloud = answering(() => new Response("{}", { status }));
    expect(await faultOf(sessionOf(cloud).send(get))).toEqual({
      message: `${where}: ${why}`,
      service: "identity",
    });
  });

  test.each([
    ["no JSON", () => new Response("<html>", { status: 201 })],
    ["no header", () => Response.json({ token }, { status: 201 })],
    ["no dates", () => withToken({ token: {} })],
    ["wrong dates", () => withToken({ token: { ...token, expires_at: "soon" } })],
    ["a wrong catalog", () => withToken({ token: { ...token, catalog: [{ type: "placement" }] } })],
  ])("that answers with %s is not believed", async (_, answer) => {
    expect((await faultOf(sessionOf(answering(answer)).send(get))).message).toBe(
      `${where}: answered what is no token`,
    );
  });

  test("that refuses an application credential has it named without its secret", async () => {
    const cloud = answering(() => new Response("", { status: 401 }));
    const own = {
      kind: "application_credential",
      credential: { id: "c1" },
      secret: "shh",
    } as const;
    const session = sessionOf(cloud, { keystone: { authUrl, account: own } });
    expect((await faultOf(session.endpoint("placement"))).message).toBe(
      `${where}: Keystone refuses the application credential c1 (401)`,
    );
  });

  test("that was away is asked again by the next call", async () => {
    const cloud = answering(() => Promise.reject(new TypeError("fetch failed")));
    const session = sessionOf(cloud);
    expect((await faultOf(session.send(get))).message).toBe(`${where}: TypeError`);
    cloud.interfere = () => undefined;
    expect((await session.send(get)).status).toBe(200);
  });
});
