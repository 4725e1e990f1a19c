import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Something that stands before a service and sees what it answers. */
export interface Relay {
  readonly url: string;
  /** Answered requests as `METHOD path status`, in their order. */
  readonly seen: readonly string[];
  /** Cut, every connection is broken off at once. */
  readonly cut: (isCut: boolean) => void;
  readonly stop: () => Promise<void>;
}

/** Passes everything on to `target`; a target that is away makes the caller's connection end. */
export async function startRelay(target: string): Promise<Relay> {
  const seen: string[] = [];
  let away = false;
  const server = createServer((asked, answer) => {
    if (away) answer.destroy();
    else
      pass(target, asked, answer, (status) => seen.push(`${asked.method} ${asked.url} ${status}`));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    cut: (isCut) => {
      away = isCut;
    },
    stop: async () => {
      server.closeAllConnections();
      await server[Symbol.asyncDispose]();
    },
  };
}

function pass(
  target: string,
  asked: IncomingMessage,
  answer: ServerResponse,
  done: (status: number) => void,
): void {
  const onward = request(
    `${target}${asked.url}`,
    { method: asked.method, headers: asked.headers },
    (reply) => {
      const status = reply.statusCode ?? 502;
      answer.writeHead(status, reply.headers);
      reply.pipe(answer);
      reply.once("end", () => done(status));
    },
  );
  onward.once("error", () => answer.destroy());
  asked.pipe(onward);
}
