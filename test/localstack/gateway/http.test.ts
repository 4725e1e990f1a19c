import { request } from "node:http";
import type { APIGatewayProxyEventV2, Context } from "aws-lambda";
import { afterEach, expect, test } from "vitest";
import type { Handler } from "../../../functions/entry.ts";
import {
  type Gateway,
  type GatewayOptions,
  startGateway,
} from "../../../localstack/gateway/gateway.ts";
import type { AuthorizerModel, FunctionModel } from "../../../localstack/gateway/service.ts";
import { fn, loadFrom, model } from "./model.ts";

const running: Gateway[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((gateway) => gateway.close()));
});

async function start(
  functions: readonly FunctionModel[],
  handlers: Readonly<Record<string, Handler>>,
  more: Partial<GatewayOptions> & { authorizers?: Record<string, AuthorizerModel> } = {},
): Promise<Gateway> {
  const { authorizers = {}, ...options } = more;
  const service = model(functions, authorizers);
  const gateway = await startGateway({ port: 0, service, load: loadFrom(handlers), ...options });
  running.push(gateway);
  return gateway;
}

const any = fn("f", { routes: [{ method: "ANY", path: "/{proxy+}" }] });

async function eventOf(path: string, init: RequestInit = {}): Promise<APIGatewayProxyEventV2> {
  const { url } = await start([any], {
    f: async (event) => ({ statusCode: 200, body: JSON.stringify(event) }),
  });
  return (await fetch(`${url}${path}`, init)).json() as Promise<APIGatewayProxyEventV2>;
}

async function answerTo(result: unknown): Promise<Response> {
  const { url } = await start([any], { f: async () => result });
  return fetch(`${url}/x`);
}

test("the event has payload format 2.0", async () => {
  const event = await eventOf("/a%20b/c?x=1&x=2&y=%2F&z", {
    headers: { "X-Thing": "one", Cookie: "a=1; b=2", "user-agent": "me" },
  });
  expect(event).toMatchObject({
    version: "2.0",
    routeKey: "ANY /{proxy+}",
    rawPath: "/a b/c",
    rawQueryString: "x=1&x=2&y=%2F&z",
    queryStringParameters: { x: "1,2", y: "/", z: "" },
    pathParameters: { proxy: "a b/c" },
    cookies: ["a=1", "b=2"],
    isBase64Encoded: false,
    requestContext: {
      accountId: "000000000000",
      stage: "$default",
      routeKey: "ANY /{proxy+}",
      http: {
        method: "GET",
        path: "/a b/c",
        protocol: "HTTP/1.1",
        sourceIp: "127.0.0.1",
        userAgent: "me",
      },
    },
  });
  expect(event.headers["x-thing"]).toBe("one");
  expect(event.headers).not.toHaveProperty("cookie");
  expect(event).not.toHaveProperty("body");
  expect(event.requestContext.time).toMatch(/^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/);
  expect(event.requestContext).not.toHaveProperty("authorizer");
});

test("a header sent twice is joined by a comma", async () => {
  const { port } = await start([any], {
    f: async (event) => (event as APIGatewayProxyEventV2).headers,
  });
  const headers = await new Promise<string>((resolve) => {
    request(
      { port, path: "/x", headers: ["host", "h", "X-Twice", "a", "X-Twice", "b"] },
      (response) => {
        response.setEncoding("utf8").on("data", resolve);
      },
    ).end();
  });
  expect(JSON.parse(headers)).toMatchObject({ "x-twice": "a,b" });
});

test.each([
  ["application/json", '{"a":1}', false],
  ["application/json; charset=utf-8", '{"a":1}', false],
  ["application/problem+json", "{}", false],
  ["text/plain", "hello", false],
  ["application/octet-stream", "hello", true],
  ["application/x-www-form-urlencoded", "a=1", true],
])("a body of %s is %s with base64 %s", async (type, body, isBase64Encoded) => {
  const event = await eventOf("/x", { method: "POST", body, headers: { "content-type": type } });
  expect(event.isBase64Encoded).toBe(isBase64Encoded);
  expect(Buffer.from(event.body ?? "", isBase64Encoded ? "base64" : "utf8").toString()).toBe(body);
});

test("a structured result is taken at its word", async () => {
  const response = await answerTo({
    statusCode: 201,
    headers: { "X-A": 1, "Content-Type": "application/x-thing", gone: undefined },
    cookies: ["a=1", "b=2"],
    body: Buffer.from([0, 255]).toString("base64"),
    isBase64Encoded: true,
  });
  expect(response.status).toBe(201);
  expect(response.headers.get("x-a")).toBe("1");
  expect(response.headers.get("content-type")).toBe("application/x-thing");
  expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
  expect([...new Uint8Array(await response.arrayBuffer())]).toEqual([0, 255]);
});

test.each([
  [{ a: 1 }, '{"a":1}'],
  ["plain", "plain"],
  [undefined, "null"],
  [[1], "[1]"],
])("a result without a status is a 200 of JSON: %j", async (result, body) => {
  const response = await answerTo(result);
  expect([response.status, response.headers.get("content-type")]).toEqual([
    200,
    "application/json",
  ]);
  expect(await response.text()).toBe(body);
});

test.each([
  [{ statusCode: "abc" }],
  [{ statusCode: 99 }],
  [{ statusCode: 200, body: { not: "text" } }],
  [{ statusCode: 200, headers: [] }],
  [{ statusCode: 200, cookies: "a=1" }],
  [{ statusCode: 200, body: "x".repeat(6_291_557) }],
])("a malformed or over-long result is a 500", async (result) => {
  const response = await answerTo(result);
  expect([response.status, await response.json()]).toEqual([
    500,
    { message: "Internal Server Error" },
  ]);
});

test("a handler that throws is a 500 and is reported", async () => {
  const heard: unknown[] = [];
  const { url } = await start(
    [any],
    { f: async () => Promise.reject(new Error("broken")) },
    { onFailure: (name, error) => heard.push([name, (error as Error).message]) },
  );
  const response = await fetch(`${url}/x`);
  expect([response.status, await response.json()]).toEqual([
    500,
    { message: "Internal Server Error" },
  ]);
  expect(heard).toEqual([["f", "broken"]]);
});

test("a handler that is late for the gateway is a 503, one late for its own limit a 500", async () => {
  const slow: Handler = () => new Promise((resolve) => setTimeout(resolve, 300));
  const { url } = await start(
    [any, fn("short", { timeout: 0.01, routes: [{ method: "GET", path: "/short" }] })],
    { f: slow, short: slow },
    { timers: { integrationMs: 50 } },
  );
  const late = await fetch(`${url}/x`);
  expect([late.status, await late.json()]).toEqual([503, { message: "Service Unavailable" }]);
  expect((await fetch(`${url}/short`)).status).toBe(500);
});

test("an unknown route is a 404 in the gateway's words", async () => {
  const { url } = await start([fn("f", { routes: [{ method: "GET", path: "/a" }] })], {
    f: async () => 1,
  });
  const response = await fetch(`${url}/b`);
  expect([response.status, await response.json()]).toEqual([404, { message: "Not Found" }]);
  expect((await fetch(`${url}/a`, { method: "POST" })).status).toBe(404);
});

test("a body over 10 MB is a 413, announced or not; one of 10 MB passes", async () => {
  const { url } = await start([any], {
    f: async (event) => (event as { body: string }).body.length,
  });
  const send = (body: Buffer | ReadableStream) =>
    fetch(`${url}/x`, { method: "POST", body, duplex: "half" });
  const limit = 10 * 1024 * 1024;
  expect((await send(Buffer.alloc(limit + 1))).status).toBe(413);
  const stream = new ReadableStream({
    start(controller) {
      controller.enqueue(new Uint8Array(limit + 1));
      controller.close();
    },
  });
  expect((await send(stream)).status).toBe(413);
  expect((await send(Buffer.alloc(limit))).status).toBe(200);
});

test("HEAD has no body and 204 no length", async () => {
  const { url } = await start([any], {
    f: async (event) =>
      (event as APIGatewayProxyEventV2).rawPath === "/none"
        ? { statusCode: 204 }
        : { statusCode: 200, body: "four" },
  });
  const head = await fetch(`${url}/x`, { method: "HEAD" });
  expect([head.headers.get("content-length"), await head.text()]).toEqual(["4", ""]);
  const none = await fetch(`${url}/none`);
  expect([none.status, none.headers.has("content-length")]).toEqual([204, false]);
});

const guarded = [
  fn("guard"),
  fn("f", {
    routes: [
      { method: "GET", path: "/a", authorizer: "identity" },
      { method: "GET", path: "/b", authorizer: "identity" },
    ],
  }),
];
const identity = (more: Partial<AuthorizerModel> = {}): Record<string, AuthorizerModel> => ({
  identity: { functionName: "guard", identitySource: [], ttl: 0, ...more },
});
const echo: Handler = async (event) => (event as { requestContext: unknown }).requestContext;

test("the authorizer sees the request and its context reaches the function", async () => {
  const seen: unknown[] = [];
  const guard: Handler = async (event) => {
    seen.push(event);
    return { isAuthorized: true, context: { project: "p" } };
  };
  const { url } = await start(guarded, { guard, f: echo }, { authorizers: identity() });
  const response = await fetch(`${url}/a?x=1`, { headers: { authorization: "Bearer t" } });
  expect(await response.json()).toMatchObject({ authorizer: { lambda: { project: "p" } } });
  expect(seen).toMatchObject([
    {
      version: "2.0",
      type: "REQUEST",
      routeKey: "GET /a",
      routeArn: "arn:aws:execute-api:us-east-1:000000000000:gatehouse/$default/GET/a",
      identitySource: [],
      headers: { authorization: "Bearer t" },
      queryStringParameters: { x: "1" },
    },
  ]);
});

test.each([
  ["refuses", async () => ({ isAuthorized: false }), 403, "Forbidden"],
  [
    "throws Unauthorized",
    async () => Promise.reject(new Error("Unauthorized")),
    401,
    "Unauthorized",
  ],
  ["throws", async () => Promise.reject(new Error("x")), 500, "Internal Server Error"],
  ["answers nonsense", async () => ({}), 500, "Internal Server Error"],
  ["answers nothing", async () => undefined, 500, "Internal Server Error"],
])(
  "an authorizer that %s keeps the function from being called",
  async (_what, guard, status, message) => {
    const { url } = await start(guarded, { guard }, { authorizers: identity() });
    const response = await fetch(`${url}/a`);
    expect([response.status, await response.json()]).toEqual([status, { message }]);
  },
);

test("a missing identity source is a 401 without a call, and results are kept as configured", async () => {
  let calls = 0;
  let now = 1_000_000;
  const guard: Handler = async () => ({ isAuthorized: ++calls > 0 });
  const authorizers = identity({
    identitySource: ["$request.header.X-Token", "$request.querystring.q"],
    ttl: 60,
  });
  const { url } = await start(guarded, { guard, f: echo }, { authorizers, now: () => now });
  const get = async (path: string, token?: string) =>
    (await fetch(`${url}${path}`, { headers: token === undefined ? {} : { "x-token": token } }))
      .status;
  expect([await get("/a?q=1"), await get("/a", "t"), calls]).toEqual([401, 401, 0]);
  expect([await get("/a?q=1", "t"), await get("/b?q=1", "t"), calls]).toEqual([200, 200, 1]);
  expect([await get("/a?q=1", "u"), calls]).toEqual([200, 2]);
  now += 60_001;
  expect([await get("/a?q=1", "t"), calls]).toEqual([200, 3]);
});

test("without an identity source nothing is kept", async () => {
  let calls = 0;
  const guard: Handler = async () => ({ isAuthorized: ++calls > 0 });
  const { url } = await start(guarded, { guard, f: echo }, { authorizers: identity({ ttl: 60 }) });
  await fetch(`${url}/a`);
  await fetch(`${url}/a`);
  expect(calls).toBe(2);
});

test("a handler gets a Lambda context, and one that did not load is tried again", async () => {
  const contexts: Context[] = [];
  let loads = 0;
  const load = async (): Promise<Handler> => {
    if (++loads === 1) throw new Error("not yet");
    return async (_event, context) => void contexts.push(context);
  };
  const { url } = await start([any], {}, { load, place: { region: "eu-north-1" } });
  expect((await fetch(`${url}/x`)).status).toBe(500);
  expect((await fetch(`${url}/x`)).status).toBe(200);
  await fetch(`${url}/x`);
  expect(loads).toBe(2);
  expect(contexts[0]).toMatchObject({
    functionName: "made-up-offline-f",
    invokedFunctionArn: "arn:aws:lambda:eu-north-1:000000000000:function:made-up-offline-f",
    memoryLimitInMB: "128",
  });
  expect(contexts[0]?.getRemainingTimeInMillis()).toBeGreaterThan(0);
});

test("a mount answers before routing", async () => {
  const { url } = await start(
    [any],
    { f: async () => "routed" },
    {
      mounts: [
        (raw, response) => {
          if (raw.url !== "/mounted") return false;
          response.end("mounted");
          return true;
        },
      ],
    },
  );
  expect(await (await fetch(`${url}/mounted`)).text()).toBe("mounted");
  expect(await (await fetch(`${url}/x`)).text()).toBe("routed");
});

test("a mount that throws is a 500", async () => {
  const { url } = await start([any], {}, { mounts: [() => Promise.reject(new Error("x"))] });
  expect((await fetch(`${url}/x`)).status).toBe(500);
});

test("close lets a request under way finish and frees the port", async () => {
  let finish = (): void => undefined;
  const entered = Promise.withResolvers<undefined>();
  const gateway = await start([any], {
    f: () =>
      new Promise((resolve) => {
        finish = () => resolve("done");
        entered.resolve(undefined);
      }),
  });
  running.length = 0;
  const answer = fetch(`${gateway.url}/x`).then((response) => response.text());
  await entered.promise;
  const closed = gateway.close();
  finish();
  expect(await answer).toBe("done");
  await closed;
  const again = await startGateway({
    port: gateway.port,
    service: model([]),
    load: loadFrom({}),
  });
  await again.close();
});

test("a port in use is an error", async () => {
  const { port } = await start([], {});
  await expect(startGateway({ port, service: model([]), load: loadFrom({}) })).rejects.toThrow(
    /EADDRINUSE/,
  );
});
