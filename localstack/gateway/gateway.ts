import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createHttpApi, writeReply } from "./http-api.ts";
import { gatewayReply } from "./http-result.ts";
import { createInvoker, type Load, type Place } from "./invoke.ts";
import { manageConnections } from "./management.ts";
import type { ServiceModel } from "./service.ts";
import { SocketApi } from "./socket-api.ts";
import type { ConnectionInfo } from "./socket-event.ts";

/** Serves requests before routing; true when it has answered (or will). */
type Mount = (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;

/** Settings of `startGateway`. Defaults are AWS's limits and a fictitious account. */
export interface GatewayOptions {
  readonly host?: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly service: ServiceModel;
  readonly load: Load;
  /** Milliseconds. */
  readonly now?: () => number;
  readonly timers?: {
    readonly socketIdleMs?: number;
    readonly socketMaxMs?: number;
    readonly integrationMs?: number;
  };
  readonly place?: Partial<Place>;
  readonly mounts?: readonly Mount[];
  /** Hears of every failed invocation. */
  readonly onFailure?: (functionName: string, error: unknown) => void;
}

/** A running gateway. */
export interface Gateway {
  /** `http://host:port`; also the endpoint of the `@connections` API. */
  readonly url: string;
  readonly port: number;
  readonly socketUrl: string;
  /** Open WebSocket connections, oldest first. */
  connections(): readonly ConnectionInfo[];
  /** Ends sockets with 1001, lets calls under way finish, frees the port. */
  close(): Promise<void>;
}

/** Where agents connect offline; in AWS it is the stage's own URL. */
const socketPath = "/agent/v1/socket";

/** HTTP APIs refuse more than this for request line and headers together, bytes. */
const largestHead = 10_240;

const defaultPlace: Place = {
  account: "000000000000",
  region: "us-east-1",
  stage: "offline",
  apiId: "gatehouse",
};

function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

function onUpgrade(server: Server, sockets: SocketApi): void {
  server.on("upgrade", (request, wire, head) => {
    if (new URL(request.url ?? "/", "http://offline").pathname === socketPath)
      void sockets.upgrade(request, wire, head);
    else wire.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  });
}

/**
 * Starts API Gateway's stand-in: HTTP API (payload format 2.0, Lambda authorizers) and WebSocket
 * API with its `@connections` API on one port. Rejects when the port is taken.
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { service, host = "127.0.0.1", now = Date.now, timers = {}, mounts = [] } = options;
  const invoker = createInvoker({
    load: options.load,
    place: { ...defaultPlace, ...options.place },
    serviceName: service.name,
    now,
    ...(options.onFailure !== undefined && { onFailure: options.onFailure }),
  });
  const integrationMs = timers.integrationMs ?? 29_000;
  const serveHttp = createHttpApi({ service, invoker, now, integrationMs });
  const { socketIdleMs: idleMs = 600_000, socketMaxMs: maxMs = 7_200_000 } = timers;
  const sockets = new SocketApi({ service, invoker, now, timers: { idleMs, maxMs } });

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    for (const mount of mounts) if (await mount(request, response)) return;
    if (await manageConnections(request, response, sockets.connections)) return;
    await serveHttp(request, response);
  };

  const server = createServer({ maxHeaderSize: largestHead }, (request, response) => {
    response.once("close", () => {
      if (!server.listening) setImmediate(() => server.closeIdleConnections());
    });
    serve(request, response).catch((error: unknown) => {
      if (response.destroyed) return;
      options.onFailure?.("gateway", error);
      if (response.headersSent) response.destroy();
      else writeReply(response, gatewayReply(500, "Internal Server Error"), "");
    });
  });
  onUpgrade(server, sockets);
  const port = await listen(server, options.port, host);

  return {
    url: `http://${host}:${port}`,
    port,
    socketUrl: `ws://${host}:${port}${socketPath}`,
    connections: () => [...sockets.connections.values()].map((connection) => connection.info()),
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      await sockets.close();
      await invoker.settled();
      await closed;
    },
  };
}
