import { type Deployable } from "#domain/deployable";
import { Fault } from "#domain/faults";
import { type Beat, type Host, reconnectWindowMs } from "#domain/host";
import { hostLifecycle, next } from "#domain/lifecycle";
import { lift, mark } from "#domain/transitions";
import type { Hello, Marks, Welcome } from "#protocol/wire/messages";
import { protocolVersion } from "#protocol/wire/shapes";
import { changeDeployable, deployablesOf } from "#store/deployables";
import { fleetSize } from "#store/fleet-size";
import { changeHost, hostUnchanged, readBeat, replaceBeat } from "#store/hosts";
import { chainHead } from "#store/receipts";
import type { Store } from "#store/store";

/** What a session's opening changed: its epoch, and the session it ended. */
export interface Opened {
  readonly welcome: Welcome;
  readonly deployables: readonly Deployable[];
  /** The socket of the session before, to be closed with `superseded`. */
  readonly superseded?: string;
}

/** Who opens a session, over which socket, and the key it proved itself by when that was opened. */
interface Opener {
  readonly host: string;
  readonly publicKey: string;
  readonly connection?: string;
}

/**
 * Opens a session: a new epoch that is the only one heard from now on, counters lifted above the
 * agent's own marks, and floors for an agent that lost its memory (design §6).
 * UNSUPPORTED_PROTOCOL, HOST_REVOKED, FORBIDDEN for another host's id, UNAUTHENTICATED for a socket
 * that was opened with a key the host has replaced since.
 */
export async function openSession(store: Store, from: Opener, hello: Hello): Promise<Opened> {
  if (hello.protocol !== protocolVersion) {
    throw new Fault("UNSUPPORTED_PROTOCOL", `protocol ${hello.protocol} is not spoken here`, {
      field: "protocol",
      expected: String(protocolVersion),
    });
  }
  if (hello.host !== from.host) {
    throw new Fault("FORBIDDEN", "a host speaks only for itself", { field: "host" });
  }
  const { host, epoch, superseded } = await newEpoch(store, from, hello);
  const known = await deployablesOf(store, from.host);
  const online = host.state === "online";
  const lifted = await Promise.all(
    known.map(async (one) => await awaken(store, one, hello, online)),
  );
  return {
    welcome: await welcomeOf({ store, host, epoch }, lifted, hello),
    deployables: lifted,
    ...(superseded === undefined ? {} : { superseded }),
  };
}

function greeted(known: Host, publicKey: string, hello: Hello): Host {
  if (known.revoked) throw new Fault("HOST_REVOKED", known.alarm);
  if (known.publicKey !== publicKey) {
    throw new Fault("UNAUTHENTICATED", "this host has joined again with another key");
  }
  const state = next(hostLifecycle, known.state, "hello");
  if (state === undefined) throw new Fault("HOST_REVOKED", `host ${known.name} was removed`);
  const { agentVersion, bootId } = hello;
  if (known.state === state && known.bootId === bootId && known.agentVersion === agentVersion) {
    return known;
  }
  return { ...known, state, agentVersion, bootId };
}

/** A host that is drained, revoked or removed meanwhile does not come online by this hello. */
async function newEpoch(
  store: Store,
  from: Opener,
  hello: Hello,
): Promise<{ readonly host: Host; readonly epoch: number; readonly superseded?: string }> {
  const { connection, publicKey } = from;
  for (let attempt = 0; attempt < 6; attempt += 1) {
    const host = await changeHost(store, from.host, (known) => greeted(known, publicKey, hello));
    const before = await readBeat(store, host.id);
    const after: Beat = {
      host: host.id,
      state: host.state === "drained" ? "drained" : "online",
      epoch: before.epoch + 1,
      seenAt: store.now(),
      connection,
      inventoryHash: host.inventoryHash,
    };
    if (await replaceBeat(store, before, after, [hostUnchanged(host)])) {
      const old = before.connection;
      const replaced = old !== undefined && old !== connection ? { superseded: old } : {};
      return { host, epoch: after.epoch, ...replaced };
    }
    await store.sleep(store.random() * 20 * 2 ** attempt);
  }
  throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
}

async function awaken(
  store: Store,
  known: Deployable,
  { bootId, marks: allMarks }: Hello,
  online: boolean,
): Promise<Deployable> {
  const marks = allMarks?.[known.id];
  const change = (one: Deployable) => {
    const marked = mark(one, { hostOnline: online, bootId }, store.now());
    return marks === undefined ? marked : lift(marked, marks, store.now());
  };
  if (change(known) === known) return known;
  return await changeDeployable(store, known, change);
}

async function welcomeOf(
  session: { readonly store: Store; readonly host: Host; readonly epoch: number },
  deployables: readonly Deployable[],
  hello: Hello,
): Promise<Welcome> {
  const { store, host, epoch } = session;
  const [hosts, ...heads] = await Promise.all([
    fleetSize(store),
    ...deployables.map(async ({ id }) => [id, await chainHead(store, id)] as const),
  ]);
  const chainHeads = heads.flatMap(([id, head]) =>
    head === undefined ? [] : [[id, { number: head.body.number, digest: head.digest }] as const],
  );
  return {
    type: "welcome",
    epoch,
    serverTime: store.now(),
    floors: Object.fromEntries(deployables.map((one) => [one.id, floorsOf(one)])),
    chainHeads: Object.fromEntries(chainHeads),
    wants: host.inventoryHash === hello.inventoryHash ? [] : ["inventory"],
    reconnectMs: reconnectWindowMs(hosts),
  };
}

/** The counters of a deployable, which an agent's own never exceed. */
export function floorsOf(deployable: Deployable): Marks[string] {
  const fences = Object.entries(deployable.handles).map(([name, handle]) => [name, handle.fence]);
  return { imageGeneration: deployable.imageGeneration, fences: Object.fromEntries(fences) };
}
