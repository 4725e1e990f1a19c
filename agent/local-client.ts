import { connect } from "node:net";
import * as z from "zod/mini";
import { Fault, isFaultCode } from "#domain/faults";
import { wireError } from "#protocol/wire/shapes";
import type { LocalRequest } from "./local-api.ts";

const localAnswer = z.discriminatedUnion("ok", [
  z.object({ ok: z.literal(true), result: z.unknown() }),
  z.object({ ok: z.literal(false), error: wireError }),
]);

/**
 * Asks the running agent on its unix socket. Throws the agent's own fault, or HOST_OFFLINE when no
 * agent listens there.
 */
export async function askAgent(path: string, request: LocalRequest): Promise<unknown> {
  const answer = localAnswer.parse(JSON.parse(await exchange(path, JSON.stringify(request))));
  if (answer.ok) return answer.result;
  const { code, message } = answer.error;
  throw new Fault(isFaultCode(code) ? code : "INTERNAL", message);
}

function exchange(path: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let text = "";
    socket.setEncoding("utf8");
    socket.on("connect", () => socket.write(`${line}\n`));
    socket.on("data", (chunk: string) => {
      text += chunk;
      if (!text.includes("\n")) return;
      resolve(text);
      socket.destroy();
    });
    socket.on("error", (cause) =>
      reject(new Fault("HOST_OFFLINE", `no agent answers on ${path}`, {}, { cause })),
    );
    socket.on("close", () => reject(new Fault("HOST_OFFLINE", "the agent closed the socket")));
  });
}
