import { createPublicKey } from "node:crypto";
import type { APIGatewayProxyWebsocketEventV2 } from "aws-lambda";
import { Fault, faults, isFault } from "#domain/faults";
import type { Host } from "#domain/host";
import { claimedHost, verifyAgentToken } from "#protocol/agent-token";
import { openConnection } from "#store/connections";
import { changeHost, readHost } from "#store/hosts";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { endSession, withdraw } from "../parts/host-session.ts";
import { storeFrom } from "../parts/store.ts";

/** A `$connect` event; unlike other socket events it has the upgrade request's headers. */
export type ConnectEvent = APIGatewayProxyWebsocketEventV2 & {
  readonly headers?: Readonly<Record<string, string>>;
};

/** What the gateway makes of an upgrade request: 200 opens the socket. */
export interface ConnectResult {
  readonly statusCode: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * The host a bearer token proves (design §6). UNAUTHENTICATED; HOST_REVOKED; HOST_IDENTITY_CONFLICT
 * when the key is used from a second machine: then neither is believed and the host is revoked.
 */
export async function authenticate(
  store: Store,
  authorization: string | undefined,
): Promise<Host & { readonly publicKey: string }> {
  const token = /^Bearer (.+)$/.exec(authorization ?? "")?.[1];
  if (token === undefined) throw new Fault("UNAUTHENTICATED", "an agent sends a bearer token");
  const host = await knownHost(store, claimedHost(token));
  const { publicKey } = host;
  if (publicKey === undefined) throw new Fault("UNAUTHENTICATED", "this host has not joined");
  const identity = await verifyAgentToken(token, createPublicKey(publicKey), store.now());
  if (host.revoked || host.state === "removed") throw new Fault("HOST_REVOKED", host.alarm);
  if (identity.machine !== host.machine) {
    const alarm = "the key of this host was used from a second machine";
    await changeHost(store, host.id, (known) => ({ ...known, revoked: true, alarm }));
    await silence(store, host.id);
    throw new Fault("HOST_IDENTITY_CONFLICT", alarm);
  }
  return { ...host, publicKey };
}

/** The session that is open ends too: its socket is not known any more, which its next message finds out. */
async function silence(store: Store, host: string): Promise<void> {
  await endSession({ store, push: { close: async () => undefined } }, host);
  await withdraw(store, host);
}

async function knownHost(store: Store, id: string): Promise<Host> {
  try {
    return await readHost(store, id);
  } catch (error) {
    if (isFault(error, "UNKNOWN_HOST")) throw new Fault("UNAUTHENTICATED", "no such host");
    throw error;
  }
}

/** Opens a socket for a proven host; refusals carry the status of their fault. */
export async function connect(store: Store, event: ConnectEvent): Promise<ConnectResult> {
  const headers = Object.fromEntries(
    Object.entries(event.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );
  try {
    const host = await authenticate(store, headers["authorization"]);
    const id = event.requestContext.connectionId;
    await openConnection(store, { id, host: host.id, publicKey: host.publicKey });
    return { statusCode: 200 };
  } catch (error) {
    if (!isFault(error)) throw error;
    return {
      statusCode: faults[error.code].status,
      headers: { "x-gatehouse-code": error.code, date: new Date(store.now()).toUTCString() },
    };
  }
}

/** `$connect`. */
export const create: Create = (environment) => {
  const store = storeFrom(environment);
  return async (event) => await connect(store, event as ConnectEvent);
};

export const handler = entry(create);
