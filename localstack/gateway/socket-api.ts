import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type RawData, type WebSocket, WebSocketServer } from "ws";
import { type Connection, largestFrame, openConnection, type SocketTimers } from "./connection.ts";
import { watchFrames } from "./frames.ts";
import type { Invoker } from "./invoke.ts";
import type { ServiceModel } from "./service.ts";
import {
  type ConnectionFacts,
  connectEvent,
  connectionFacts,
  disconnectEvent,
  messageEvent,
} from "./socket-event.ts";

/** Largest message API Gateway takes, either way, bytes (serverless.md §9). */
export const largestMessage = 128 * 1024;

/** What the WebSocket side needs. */
export interface SocketApiOptions {
  readonly service: ServiceModel;
  readonly invoker: Invoker;
  readonly now: () => number;
  readonly timers: SocketTimers;
}

/** How long a peer may take to answer a closing handshake, milliseconds. */
const closingGrace = 1000;

function refuse(socket: Duplex, status: number, now: number): void {
  const message = status >= 500 ? "Internal server error" : (STATUS_CODES[status] ?? "Forbidden");
  const body = JSON.stringify({ message });
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Refused"}`,
    `Date: ${new Date(now).toUTCString()}`,
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
  ];
  socket.end(`${lines.join("\r\n")}\r\n\r\n${body}`);
}

function statusOf(result: unknown): number {
  const status = Number((result as { statusCode?: unknown } | null | undefined)?.statusCode);
  return Number.isInteger(status) && status >= 200 && status <= 599 ? status : 502;
}

function protocolOf(result: unknown): string | false {
  const headers = (result as { headers?: Record<string, unknown> } | undefined)?.headers ?? {};
  const found = Object.entries(headers).find(
    ([name]) => name.toLowerCase() === "sec-websocket-protocol",
  );
  return found === undefined ? false : String(found[1]);
}

function bytesOf(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}

/**
 * A WebSocket API with `$connect`, `$default` and `$disconnect`. As in AWS the messages of one
 * connection are not queued behind each other: their invocations start in order of arrival and
 * then run side by side, so a handler must not rely on the one before having finished.
 */
export class SocketApi {
  /** What `@connections` can reach: accepted by `$connect` and not closed. */
  readonly connections = new Map<string, Connection>();
  readonly #options: SocketApiOptions;
  readonly #protocols = new WeakMap<IncomingMessage, string | false>();
  readonly #server: WebSocketServer;
  #closing = false;

  constructor(options: SocketApiOptions) {
    this.#options = options;
    this.#server = new WebSocketServer({
      noServer: true,
      maxPayload: largestMessage,
      perMessageDeflate: false,
      handleProtocols: (_offered, request) => this.#protocols.get(request) ?? false,
    });
  }

  /** Asks `$connect`, then completes or refuses the handshake with the status it answered. */
  async upgrade(request: IncomingMessage, wire: Duplex, head: Buffer): Promise<void> {
    const { now } = this.#options;
    wire.on("error", () => wire.destroy());
    const facts = connectionFacts(request, now());
    const status = await this.#admit(request, facts);
    if (status >= 300) return refuse(wire, status, now());
    if (this.#closing) wire.destroy();
    if (wire.destroyed) return this.#disconnected(facts, 1006, "");
    this.#server.handleUpgrade(request, wire, head, (socket) => this.#open(socket, wire, facts));
  }

  /** Closes every connection with 1001 and waits until each is gone. */
  async close(): Promise<void> {
    this.#closing = true;
    const gone = [...this.#server.clients].map((client) => {
      const closed = new Promise((resolve) => client.once("close", resolve));
      const cut = setTimeout(() => client.terminate(), closingGrace).unref();
      client.close(1001, "Going away");
      return closed.finally(() => clearTimeout(cut));
    });
    await Promise.all(gone);
  }

  #open(socket: WebSocket, wire: Duplex, facts: ConnectionFacts): void {
    const { timers, now } = this.#options;
    const connection = openConnection(socket, facts, timers, now);
    this.connections.set(facts.id, connection);
    const tooLarge = (): void => connection.close(1009, "Message too big");
    wire.prependListener("data", watchFrames(largestFrame, tooLarge));
    socket.on("message", (data, binary) => {
      connection.touch();
      if (connection.isOpen()) void this.#deliver(connection, bytesOf(data), binary);
    });
    socket.on("ping", () => connection.touch());
    // The library closes the socket itself, with 1009 for a message that is too long.
    socket.on("error", () => undefined);
    socket.on("close", (code, reason) => {
      this.connections.delete(facts.id);
      this.#disconnected(facts, code, reason.toString());
    });
  }

  async #admit(request: IncomingMessage, facts: ConnectionFacts): Promise<number> {
    try {
      const event = connectEvent(request, facts, this.#options.invoker.place);
      const result = await this.#call("$connect", event);
      this.#protocols.set(request, protocolOf(result));
      return statusOf(result);
    } catch {
      return 502;
    }
  }

  async #deliver(connection: Connection, data: Buffer, binary: boolean): Promise<void> {
    const { invoker, now } = this.#options;
    const { facts } = connection;
    const event = messageEvent(facts, invoker.place, now(), { data, binary });
    try {
      await this.#call("$default", event);
    } catch {
      const { requestId } = event["requestContext"] as { requestId: string };
      const text = { message: "Internal server error", connectionId: facts.id, requestId };
      await connection.send(Buffer.from(JSON.stringify(text))).catch(() => undefined);
    }
  }

  // Best effort, as in AWS: nobody is left to hear of a failure.
  #disconnected(facts: ConnectionFacts, code: number, reason: string): void {
    const { invoker, now } = this.#options;
    const event = disconnectEvent(facts, invoker.place, now(), { code, reason });
    this.#call("$disconnect", event).catch(() => undefined);
  }

  async #call(route: string, event: unknown): Promise<unknown> {
    const { service, invoker } = this.#options;
    const target = service.functions.find(({ socketRoutes }) => socketRoutes.includes(route));
    return target === undefined ? { statusCode: 200 } : invoker.invoke(target, event);
  }
}
