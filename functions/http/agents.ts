import { createHash, createPublicKey } from "node:crypto";
import { Fault, isFault } from "#domain/faults";
import { hostLifecycle, next } from "#domain/lifecycle";
import { hostRoutes } from "#protocol/http/host-routes";
import type { JoinRequest } from "#protocol/join";
import { decodeAgentMessage, encodeMessage, wireErrorOf } from "#protocol/wire/codec";
import type { CloudMessage } from "#protocol/wire/messages";
import { consumeToken, hostOfToken, readHost, replaceHost } from "#store/hosts";
import { type Create, entry } from "../entry.ts";
import type { Wishing } from "../exchange/desired.ts";
import { exchange } from "../exchange/exchange.ts";
import { bucketFrom } from "../parts/bucket.ts";
import { permitKey } from "../parts/permit-key.ts";
import { isSendable } from "../parts/push.ts";
import { type Settings, settingsFrom } from "../parts/settings.ts";
import { storeFrom } from "../parts/store.ts";
import { authenticate } from "../socket/connect.ts";
import type { Answer, Call } from "./call.ts";
import { handle, httpFunction } from "./stack.ts";

/** What the routes of agents work with. */
export interface Agents extends Wishing {
  readonly settings: Pick<Settings, "socketUrl">;
}

/** Seconds between polls of an agent whose network lets no socket through. */
const pollSeconds = 10;

async function join({ store, bucket, settings }: Agents, call: Call<JoinRequest>): Promise<Answer> {
  const { token, publicKey, machine, nodeName } = call.body;
  checkKey(publicKey);
  const digest = createHash("sha256").update(token).digest("hex");
  const known = await readHost(store, await hostOfToken(store, digest));
  if (known.name !== nodeName) {
    throw new Fault("INVALID_REQUEST", `nodeName: the token is for host ${known.name}`, {
      field: "nodeName",
      expected: known.name,
    });
  }
  const state = next(hostLifecycle, known.state, "join") ?? known.state;
  const joined = { ...known, state, publicKey, machine, revoked: false, alarm: undefined };
  const after = { ...joined, revision: known.revision + 1, updatedAt: store.now() };
  const result = await store.table.write([consumeToken(digest), replaceHost(known, after)]);
  if (!result.ok) {
    await hostOfToken(store, digest);
    throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
  }
  const privatePem = await permitKey(store);
  const permit = createPublicKey(privatePem).export({ type: "spki", format: "pem" }).toString();
  return {
    body: {
      host: known.id,
      socketUrl: settings.socketUrl,
      permitKey: permit,
      serverTime: store.now(),
      imageOrigins: [await imageOrigin(bucket)],
    },
  };
}

/** Where presigned downloads point: an agent fetches from nowhere else. */
async function imageOrigin(bucket: Agents["bucket"]): Promise<string> {
  return new URL(await bucket.presignGet("verified/any", undefined, 60)).origin;
}

function checkKey(pem: string): void {
  try {
    if (createPublicKey(pem).asymmetricKeyType === "ed25519") return;
  } catch {
    // Refused below with the field's name, whatever was wrong with the text.
  }
  throw new Fault("INVALID_REQUEST", "publicKey: expected an Ed25519 public key as SPKI PEM", {
    field: "publicKey",
    expected: "an Ed25519 public key as SPKI PEM",
  });
}

/** The socket's exchange as one short poll; every frame is answered on its own. */
async function poll(
  agents: Agents,
  call: Call<{ readonly frames: readonly string[] }>,
): Promise<Answer> {
  const host = await authenticate(agents.store, call.headers["authorization"]);
  const session = { host: host.id, publicKey: host.publicKey, epoch: 0 };
  const frames: string[] = [];
  for (const frame of call.body.frames) {
    const replies = await repliesTo(agents, session, frame);
    frames.push(...replies.filter(isSendable).map((reply) => encodeMessage(reply)));
  }
  return { body: { frames, pollSeconds } };
}

async function repliesTo(
  agents: Agents,
  session: Parameters<typeof exchange>[1],
  frame: string,
): Promise<readonly CloudMessage[]> {
  try {
    return (await exchange(agents, session, decodeAgentMessage(frame))).replies;
  } catch (error) {
    if (!isFault(error) || error.code === "INTERNAL") console.error(error);
    return [{ type: "error", error: wireErrorOf(error), serverTime: agents.store.now() }];
  }
}

/** The routes of agents over given parts. */
export function agentsFunction(agents: Agents) {
  return httpFunction(hostRoutes, {
    join: handle(async (call: Call<JoinRequest>) => await join(agents, call)),
    exchange: handle(
      async (call: Call<{ readonly frames: readonly string[] }>) => await poll(agents, call),
    ),
  });
}

const build: Create = (environment) =>
  agentsFunction({
    store: storeFrom(environment),
    bucket: bucketFrom(environment),
    settings: settingsFrom(environment),
  });

export { build as create };
export const handler = entry(build);
