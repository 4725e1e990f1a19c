import type { APIGatewayProxyWebsocketEventV2 } from "aws-lambda";
import { isFault } from "#domain/faults";
import { decodeAgentMessage, wireErrorOf } from "#protocol/wire/codec";
import type { CloudMessage } from "#protocol/wire/messages";
import { nameSession, readConnection } from "#store/connections";
import { type Create, entry } from "../entry.ts";
import type { Wishing } from "../exchange/desired.ts";
import { type Exchanged, exchange } from "../exchange/exchange.ts";
import { bucketFrom } from "../parts/bucket.ts";
import { isSendable, type Push, pushFrom } from "../parts/push.ts";
import { storeFrom } from "../parts/store.ts";

/** What answering a socket message needs. */
export interface Answering extends Wishing {
  readonly push: Push;
}

/** Faults that end the socket: its session will not be heard again. */
const ending = new Set(["SUPERSEDED", "UNAUTHENTICATED", "HOST_REVOKED", "HOST_IDENTITY_CONFLICT"]);

/** One frame of an agent: answered over the same socket, also when it is refused. */
export async function answerFrame(
  answering: Answering,
  connection: string,
  frame: string,
): Promise<void> {
  const { push, store } = answering;
  try {
    const { replies, epoch, superseded } = await exchanged(answering, connection, frame);
    if (epoch !== undefined) await nameSession(store, connection, epoch);
    for (const reply of replies.filter(isSendable)) await push.send(connection, reply);
    if (superseded !== undefined) await supersede(push, superseded);
  } catch (error) {
    await refuse(answering, connection, error);
  }
}

async function exchanged(
  answering: Answering,
  connection: string,
  frame: string,
): Promise<Exchanged> {
  const message = decodeAgentMessage(frame);
  const said = message.type === "hello" || message.type === "error" ? undefined : message.epoch;
  const { host, publicKey, epoch } = await readConnection(answering.store, connection, said);
  return await exchange(answering, { host, publicKey, epoch, connection }, message);
}

async function supersede(push: Push, connection: string): Promise<void> {
  const error = { code: "SUPERSEDED", message: "a newer session of this host is open" };
  if (await push.send(connection, { type: "error", error })) await push.close(connection);
}

async function refuse(
  { push, store }: Answering,
  connection: string,
  error: unknown,
): Promise<void> {
  if (!isFault(error) || error.code === "INTERNAL") console.error(error);
  const about = isFault(error) ? error.detail["about"] : undefined;
  const message: CloudMessage = {
    type: "error",
    ...(typeof about === "string" ? { about } : {}),
    error: wireErrorOf(error),
    serverTime: store.now(),
  };
  const open = await push.send(connection, message);
  if (open && isFault(error) && ending.has(error.code)) await push.close(connection);
}

/** `$default`. */
export const create: Create = (environment) => {
  const answering: Answering = {
    store: storeFrom(environment),
    bucket: bucketFrom(environment),
    push: pushFrom(environment),
  };
  return async (event) => {
    const { requestContext, body } = event as APIGatewayProxyWebsocketEventV2;
    await answerFrame(answering, requestContext.connectionId, body ?? "");
    return { statusCode: 200 };
  };
};

export const handler = entry(create);
