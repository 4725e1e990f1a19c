import { chmod, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import * as z from "zod/mini";
import { Fault } from "#domain/faults";
import { wireErrorOf } from "#protocol/wire/codec";
import { plugTarget, type WireError } from "#protocol/wire/shapes";
import { type PermitDesk, plugByPermit, unplugByPermit } from "./permits.ts";

/** What may be asked on the local socket, one JSON object a line. */
const localRequest = z.discriminatedUnion("verb", [
  z.object({ verb: z.literal("status") }),
  z.object({ verb: z.literal("plug"), permit: z.string(), target: plugTarget }),
  z.object({ verb: z.literal("unplug"), permit: z.string() }),
]);
export type LocalRequest = z.infer<typeof localRequest>;

/** The answer, one JSON object a line. */
type LocalAnswer =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: WireError };

/** Longest request in bytes; a permit has about 600. */
const longestRequest = 16 * 1024;

/** What the local API serves. */
export interface LocalApiOptions {
  readonly path: string;
  readonly desk: PermitDesk;
  readonly status: () => unknown;
}

/** A running local API. */
export interface LocalApi {
  close(): Promise<void>;
}

/** Listens on a unix socket that only the agent's own user may open (design §7). */
export async function openLocalApi(options: LocalApiOptions): Promise<LocalApi> {
  const { path } = options;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    serve(socket, options);
  });
  await rm(path, { force: true });
  await listen(server, path);
  await chmod(path, 0o600);
  return {
    close: async () => {
      const closed = new Promise((resolve) => {
        server.close(resolve);
      });
      for (const socket of sockets) socket.destroy();
      await closed;
      await rm(path, { force: true });
    },
  };
}

/** The socket appears with mode 0600 already, so that nobody can slip in before the chmod. */
async function listen(server: Server, path: string): Promise<void> {
  const before = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
  } finally {
    process.umask(before);
  }
}

function serve(socket: Socket, options: LocalApiOptions): void {
  let text = "";
  let turn = Promise.resolve();
  socket.setEncoding("utf8");
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: string) => {
    text += chunk;
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    if ([text, ...lines].some(({ length }) => length > longestRequest)) {
      tell(socket, { ok: false, error: wireErrorOf(new Fault("MESSAGE_TOO_LARGE")) });
      socket.end();
      return;
    }
    for (const line of lines) {
      turn = turn.then(async () => tell(socket, await answer(line, options)));
    }
  });
}

function tell(socket: Socket, answer: LocalAnswer): void {
  if (!socket.destroyed) socket.write(`${JSON.stringify(answer)}\n`);
}

async function answer(line: string, options: LocalApiOptions): Promise<LocalAnswer> {
  try {
    return { ok: true, result: await perform(parsed(line), options) };
  } catch (error) {
    return { ok: false, error: wireErrorOf(error) };
  }
}

function parsed(line: string): LocalRequest {
  try {
    return localRequest.parse(JSON.parse(line));
  } catch (cause) {
    const expected = "a JSON object with verb status, plug or unplug";
    throw new Fault("INVALID_REQUEST", `expected ${expected}`, { expected }, { cause });
  }
}

async function perform(request: LocalRequest, { desk, status }: LocalApiOptions): Promise<unknown> {
  if (request.verb === "status") return status();
  if (request.verb === "plug") return await plugByPermit(desk, request.permit, request.target);
  return await unplugByPermit(desk, request.permit);
}
