import { createServer, type Server, type Socket } from "node:net";
import { Fault, isFault } from "#domain/faults";
import { isKernelError } from "../host/sysfs-port.ts";
import { type HelperRequest, helperCall } from "./requests.ts";

/** Longest request in bytes: a manifest and an address. */
const longestLine = 64 * 1024;

/** A running helper. */
export interface Helper {
  /** Takes no more requests and ends when those that run have their answers. */
  close(): Promise<void>;
}

/**
 * Serves the closed list on a unix socket, requests beside each other. Who may connect is the
 * socket's mode (0600) and owner. Anything that is no request ends the connection.
 */
export function serveHelper(
  listen: (server: Server) => Promise<void>,
  perform: (request: HelperRequest) => Promise<unknown>,
): Promise<Helper> {
  const sockets = new Set<Socket>();
  const running = new Set<Promise<void>>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    onLines(socket, (line) => {
      const done = answer(socket, line, perform).finally(() => running.delete(done));
      running.add(done);
    });
  });
  return listen(server).then(() => ({
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      await Promise.all(running);
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  }));
}

function onLines(socket: Socket, hear: (line: string) => void): void {
  let rest = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) hear(line);
    if (rest.length > longestLine) socket.destroy();
  });
}

async function answer(
  socket: Socket,
  line: string,
  perform: (request: HelperRequest) => Promise<unknown>,
): Promise<void> {
  const call = parsed(line);
  if (call === undefined) {
    socket.destroy();
    return;
  }
  const { id, request } = call;
  const reply = await perform(request).then(
    (value) => ({ id, value: value ?? null }),
    (error: unknown) => ({ id, error: errorOf(error) }),
  );
  if (!socket.destroyed) socket.write(`${JSON.stringify(reply)}\n`);
}

function parsed(line: string) {
  try {
    return helperCall.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

function errorOf(error: unknown) {
  if (isFault(error) && error instanceof Fault) {
    const { code, message, detail } = error;
    return { kind: "fault", code, message, detail };
  }
  if (isKernelError(error)) return { kind: "errno", code: error.code, message: error.message };
  return { kind: "errno", code: "EIO", message: String(error) };
}
