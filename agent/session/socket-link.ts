import type { ClientRequest, IncomingMessage } from "node:http";
import type WebSocket from "ws";
import { dateHeader, type Link, type LinkEnd, type LinkEvents, type OpenLink } from "./link.ts";

/** The `ws` constructor, or one like it. */
export type SocketConstructor = new (
  url: string,
  options: { readonly headers: Readonly<Record<string, string>>; readonly maxPayload: number },
) => WebSocket;

/** Largest message taken in bytes: the gateway's own limit (serverless.md §9). */
const maxPayload = 128 * 1024;

/** Links over WebSocket at `url`. */
export function socketLinks(Socket: SocketConstructor, url: string): OpenLink {
  return (token, events) => openSocket(Socket, url, { token, events });
}

function openSocket(
  Socket: SocketConstructor,
  url: string,
  { token, events }: { readonly token: string; readonly events: LinkEvents },
): Link {
  const headers = { authorization: `Bearer ${token}` };
  const socket = new Socket(url, { headers, maxPayload });
  let over = false;
  const end = (why: LinkEnd) => {
    if (over) return;
    over = true;
    events.closed(why);
    socket.terminate();
  };
  socket.on("open", () => {
    if (!over) events.opened();
  });
  socket.on("message", (data, isBinary) => {
    if (!over && !isBinary) events.text(textOf(data));
  });
  socket.on("close", (code, reason) => end({ code, reason: reason.toString() || "closed" }));
  socket.on("error", (error) => end({ reason: error.message }));
  socket.on("unexpected-response", (_: ClientRequest, response: IncomingMessage) => {
    const serverTime = dateHeader(response.headers.date);
    const status = response.statusCode ?? 0;
    response.resume();
    end({ reason: `refused with ${status}`, status, ...(serverTime && { serverTime }) });
  });
  return {
    send: (text) => {
      if (!over) socket.send(text, (error) => error && end({ reason: error.message }));
    },
    close: () => {
      if (over) return;
      over = true;
      socket.close(1000);
      events.closed({ reason: "closed by the agent" });
    },
  };
}

function textOf(data: WebSocket.RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString();
  return Buffer.from(data as ArrayBuffer).toString();
}
