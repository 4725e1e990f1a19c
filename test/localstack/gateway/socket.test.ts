import { connect as connectTcp } from "node:net";
import {
  ApiGatewayManagementApiClient,
  DeleteConnectionCommand,
  GetConnectionCommand,
  PostToConnectionCommand,
} from "@aws-sdk/client-apigatewaymanagementapi";
import * as fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { Handler } from "../../../functions/entry.ts";
import { watchFrames } from "../../../localstack/gateway/frames.ts";
import {
  type Gateway,
  type GatewayOptions,
  startGateway,
} from "../../../localstack/gateway/gateway.ts";
import { fn, loadFrom, model } from "./model.ts";

interface SocketEvent {
  readonly headers: Record<string, string>;
  readonly queryStringParameters?: Record<string, string>;
  readonly body: string;
  readonly isBase64Encoded: boolean;
  readonly requestContext: Record<string, unknown> & { readonly connectionId: string };
}

/** Collects events and lets a test wait for the n-th. */
class Inbox {
  readonly events: SocketEvent[] = [];
  #wake: (() => void)[] = [];
  readonly take: Handler = async (event) => {
    this.events.push(event as SocketEvent);
    for (const wake of this.#wake.splice(0)) wake();
    return { statusCode: 200 };
  };
  async at(index: number): Promise<SocketEvent> {
    for (;;) {
      const event = this.events[index];
      if (event !== undefined) return event;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }
}

const running: Gateway[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((gateway) => gateway.close()));
});

interface Started {
  readonly gateway: Gateway;
  readonly connects: Inbox;
  readonly messages: Inbox;
  readonly disconnects: Inbox;
  readonly management: ApiGatewayManagementApiClient;
}

async function start(
  handlers: Readonly<Record<string, Handler>> = {},
  options: Partial<GatewayOptions> = {},
): Promise<Started> {
  const [connects, messages, disconnects] = [new Inbox(), new Inbox(), new Inbox()];
  const service = model([
    fn("connect", { socketRoutes: ["$connect"] }),
    fn("message", { socketRoutes: ["$default"] }),
    fn("disconnect", { socketRoutes: ["$disconnect"] }),
  ]);
  const load = loadFrom({
    connect: connects.take,
    message: messages.take,
    disconnect: disconnects.take,
    ...handlers,
  });
  const gateway = await startGateway({ port: 0, service, load, ...options });
  running.push(gateway);
  const management = new ApiGatewayManagementApiClient({
    endpoint: gateway.url,
    region: "us-east-1",
    credentials: { accessKeyId: "a", secretAccessKey: "b" },
  });
  return { gateway, connects, messages, disconnects, management };
}

function opened(socket: WebSocket): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    socket.once("open", () => resolve(socket));
    socket.once("error", reject);
  });
}

function closing(socket: WebSocket): Promise<[number, string]> {
  return new Promise((resolve) => {
    socket.once("close", (code, reason) => resolve([code, reason.toString()]));
  });
}

function nextMessage(socket: WebSocket): Promise<string> {
  return new Promise((resolve) => {
    socket.once("message", (data: Buffer) => resolve(data.toString()));
  });
}

const dial = (gateway: Gateway, query = ""): Promise<WebSocket> =>
  opened(new WebSocket(`${gateway.socketUrl}${query}`, { headers: { Authorization: "Bearer t" } }));

test("connect, message and disconnect arrive as API Gateway sends them", async () => {
  const { gateway, connects, messages, disconnects } = await start();
  const socket = await dial(gateway, "?a=1&a=2");
  const connected = await connects.at(0);
  expect(connected).toMatchObject({
    headers: { Authorization: "Bearer t" },
    queryStringParameters: { a: "2" },
    multiValueQueryStringParameters: { a: ["1", "2"] },
    isBase64Encoded: false,
    requestContext: {
      routeKey: "$connect",
      eventType: "CONNECT",
      messageDirection: "IN",
      stage: "offline",
      identity: { sourceIp: "127.0.0.1" },
    },
  });
  const { connectionId } = connected.requestContext;
  expect(connectionId).toMatch(/^[\w-]{15}=$/);
  socket.send('{"type":"ping"}');
  socket.send(Buffer.from([1, 2]));
  expect(await messages.at(0)).toMatchObject({
    body: '{"type":"ping"}',
    isBase64Encoded: false,
    requestContext: {
      routeKey: "$default",
      eventType: "MESSAGE",
      connectionId,
      messageId: expect.any(String),
    },
  });
  expect(await messages.at(1)).toMatchObject({ body: "AQI=", isBase64Encoded: true });
  socket.close(4000, "bye");
  expect((await disconnects.at(0)).requestContext).toMatchObject({
    routeKey: "$disconnect",
    eventType: "DISCONNECT",
    connectionId,
    disconnectStatusCode: 4000,
    disconnectReason: "bye",
  });
  expect(gateway.connections()).toEqual([]);
});

function refusal(
  gateway: Gateway,
): Promise<{ status: number | undefined; date: string | undefined }> {
  return new Promise((resolve) => {
    const socket = new WebSocket(gateway.socketUrl);
    socket.once("error", () => undefined);
    socket.once("unexpected-response", (_request, response) => {
      resolve({ status: response.statusCode, date: response.headers.date });
      response.resume();
    });
  });
}

test.each([
  ["401", async () => ({ statusCode: 401 }), 401],
  ["a status as text", async () => ({ statusCode: "403" }), 403],
  ["no status", async () => undefined, 502],
  ["an exception", async () => Promise.reject(new Error("x")), 502],
])(
  "a connect that answers %s refuses the handshake, with the server's time",
  async (_what, connect, status) => {
    const now = Date.UTC(2026, 0, 2, 3, 4, 5);
    const { gateway } = await start({ connect }, { now: () => now });
    expect(await refusal(gateway)).toEqual({ status, date: "Fri, 02 Jan 2026 03:04:05 GMT" });
    expect(gateway.connections()).toEqual([]);
  },
);

test("an upgrade elsewhere is a 404", async () => {
  const { gateway } = await start();
  await expect(opened(new WebSocket(gateway.url.replace("http", "ws")))).rejects.toThrow(/404/);
});

test("the subprotocol is the one connect answered", async () => {
  const connect: Handler = async () => ({
    statusCode: 200,
    headers: { "Sec-WebSocket-Protocol": "b" },
  });
  const { gateway } = await start({ connect });
  const socket = await opened(new WebSocket(gateway.socketUrl, ["a", "b"]));
  expect(socket.protocol).toBe("b");
});

test("the messages of one connection start in order and do not wait for each other", async () => {
  const started: string[] = [];
  const both = Promise.withResolvers<undefined>();
  const message: Handler = async (event) => {
    started.push((event as SocketEvent).body);
    if (started.length === 2) both.resolve(undefined);
    await both.promise;
  };
  const { gateway } = await start({ message });
  const socket = await dial(gateway);
  socket.send("one");
  socket.send("two");
  await both.promise;
  expect(started).toEqual(["one", "two"]);
});

test("a message handler that throws is answered like AWS answers it", async () => {
  const { gateway } = await start({ message: async () => Promise.reject(new Error("x")) });
  const socket = await dial(gateway);
  socket.send("x");
  expect(JSON.parse(await nextMessage(socket))).toMatchObject({
    message: "Internal server error",
    connectionId: gateway.connections()[0]?.id,
  });
});

test("a frame over 32 KB and a message over 128 KB end the connection with 1009", async () => {
  const { gateway, messages } = await start();
  const frame = await dial(gateway);
  frame.send("x".repeat(32 * 1024 + 1));
  expect((await closing(frame))[0]).toBe(1009);
  const message = await dial(gateway);
  const part = "x".repeat(32 * 1024);
  for (const fin of [false, false, false, false]) message.send(part, { fin });
  message.send("x", { fin: true });
  expect((await closing(message))[0]).toBe(1009);
  expect(messages.events).toEqual([]);
});

test("a message of 128 KB in frames of 32 KB passes both ways", async () => {
  const { gateway, messages, management } = await start();
  const socket = await dial(gateway);
  const part = "x".repeat(32 * 1024);
  for (const fin of [false, false, false, true]) socket.send(part, { fin });
  const { body, requestContext } = await messages.at(0);
  expect(body).toHaveLength(128 * 1024);
  const answer = nextMessage(socket);
  await management.send(
    new PostToConnectionCommand({ ConnectionId: requestContext.connectionId, Data: body }),
  );
  expect(await answer).toBe(body);
});

test("idle and old connections are closed with 1001", async () => {
  const idle = await start({}, { timers: { socketIdleMs: 20 } });
  expect(await closing(await dial(idle.gateway))).toEqual([1001, "Going away"]);
  const old = await start({}, { timers: { socketMaxMs: 20 } });
  expect(await closing(await dial(old.gateway))).toEqual([1001, "Going away"]);
  expect((await old.disconnects.at(0)).requestContext).toMatchObject({
    disconnectStatusCode: 1001,
  });
});

test("the management API sends, describes and ends", async () => {
  const { gateway, connects, disconnects, management } = await start();
  const socket = await dial(gateway);
  const ConnectionId = (await connects.at(0)).requestContext.connectionId;
  const answer = nextMessage(socket);
  await management.send(new PostToConnectionCommand({ ConnectionId, Data: "hëllo" }));
  expect(await answer).toBe("hëllo");
  const known = await management.send(new GetConnectionCommand({ ConnectionId }));
  expect(known.Identity?.SourceIp).toBe("127.0.0.1");
  expect(known.ConnectedAt).toBeInstanceOf(Date);
  expect(known.LastActiveAt?.getTime()).toBeGreaterThanOrEqual(known.ConnectedAt?.getTime() ?? 0);
  const closed = closing(socket);
  await management.send(new DeleteConnectionCommand({ ConnectionId }));
  expect((await closed)[0]).toBe(1000);
  await disconnects.at(0);
  const gone = management.send(new PostToConnectionCommand({ ConnectionId, Data: "x" }));
  await expect(gone).rejects.toMatchObject({
    name: "GoneException",
    $metadata: { httpStatusCode: 410 },
  });
});

test("the management API answers under a stage too, and refuses what it does not know", async () => {
  const { gateway, connects } = await start();
  const socket = await dial(gateway);
  const id = encodeURIComponent((await connects.at(0)).requestContext.connectionId);
  const answer = nextMessage(socket);
  const sent = await fetch(`${gateway.url}/dev/@connections/${id}`, { method: "POST", body: "x" });
  expect([sent.status, await answer]).toEqual([200, "x"]);
  expect((await fetch(`${gateway.url}/@connections/${id}`, { method: "PUT" })).status).toBe(405);
});

test("a post of more than 128 KB is PayloadTooLargeException", async () => {
  const { gateway, connects, management } = await start();
  await dial(gateway);
  const ConnectionId = (await connects.at(0)).requestContext.connectionId;
  const Data = "x".repeat(128 * 1024 + 1);
  await expect(
    management.send(new PostToConnectionCommand({ ConnectionId, Data })),
  ).rejects.toMatchObject({
    name: "PayloadTooLargeException",
    $metadata: { httpStatusCode: 413 },
  });
});

test("a connection cannot be posted to while connect is still running", async () => {
  const posted = Promise.withResolvers<number>();
  let url = "";
  const connect: Handler = async (event) => {
    const id = encodeURIComponent((event as SocketEvent).requestContext.connectionId);
    posted.resolve(
      (await fetch(`${url}/@connections/${id}`, { method: "POST", body: "x" })).status,
    );
    return { statusCode: 200 };
  };
  const { gateway } = await start({ connect });
  url = gateway.url;
  await dial(gateway);
  expect(await posted.promise).toBe(410);
});

test("a client that is gone before connect answers is reported as disconnected", async () => {
  const entered = Promise.withResolvers<undefined>();
  const release = Promise.withResolvers<undefined>();
  const connect: Handler = async () => {
    entered.resolve(undefined);
    await release.promise;
    return { statusCode: 200 };
  };
  const { gateway, disconnects } = await start({ connect });
  const wire = connectTcp(gateway.port, "127.0.0.1");
  const key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13";
  wire.write(
    `GET /agent/v1/socket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${key}\r\n\r\n`,
  );
  await entered.promise;
  wire.resetAndDestroy();
  // The reset has to reach the gateway before connect answers.
  await fetch(`${gateway.url}/x`);
  release.resolve(undefined);
  expect((await disconnects.at(0)).requestContext).toMatchObject({ disconnectStatusCode: 1006 });
});

test("close ends sockets with 1001 and waits for the disconnect calls", async () => {
  const { gateway, disconnects } = await start();
  const socket = await dial(gateway);
  running.length = 0;
  const closed = closing(socket);
  await gateway.close();
  expect((await closed)[0]).toBe(1001);
  expect(disconnects.events).toHaveLength(1);
});

test("frames are measured wherever the stream is cut", () => {
  const frame = (size: number): Buffer => {
    const head =
      size < 126
        ? Buffer.from([0x81, 0x80 | size])
        : size < 65_536
          ? Buffer.from([0x81, 0x80 | 126, size >> 8, size & 255])
          : Buffer.from([
              0x81,
              0x80 | 127,
              0,
              0,
              0,
              0,
              0,
              size >> 16,
              (size >> 8) & 255,
              size & 255,
            ]);
    return Buffer.concat([head, Buffer.alloc(4), Buffer.alloc(size)]);
  };
  const size = fc.oneof(fc.nat(300), fc.integer({ min: 32_760, max: 32_780 }), fc.constant(70_000));
  fc.assert(
    fc.property(
      fc.array(size, { maxLength: 5 }),
      fc.integer({ min: 1, max: 5000 }),
      (sizes, step) => {
        let large = 0;
        const watch = watchFrames(32 * 1024, () => (large += 1));
        const bytes = Buffer.concat(sizes.map(frame));
        for (let at = 0; at < bytes.length; at += step) watch(bytes.subarray(at, at + step));
        expect(large).toBe(sizes.filter((each) => each > 32 * 1024).length);
      },
    ),
  );
});
