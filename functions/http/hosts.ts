import { Fault, isFault } from "#domain/faults";
import type { Host } from "#domain/host";
import { type HostEvent, type HostState, hostLifecycle, next } from "#domain/lifecycle";
import { hostRoutes } from "#protocol/http/host-routes";
import type { CreateHost, HostView } from "#protocol/http/hosts";
import { beatOf, changeHost, findHost, listHosts, readBeat } from "#store/hosts";
import { beatKey } from "#store/keys";
import type { Wanted } from "#store/lists";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { removeHost } from "../parts/host-removal.ts";
import { changeBeat, endSession, type Sessions, withdraw } from "../parts/host-session.ts";
import { pushFrom } from "../parts/push.ts";
import { storeFrom } from "../parts/store.ts";
import type { Answer, Call } from "./call.ts";
import { createToken, createWithToken } from "./joining.ts";
import { handle, httpFunction } from "./stack.ts";
import { hostView } from "./views/host.ts";

interface HostFilter extends Wanted {
  readonly name?: string;
}

/** The host of the path, by id or node name. */
async function hostOf(store: Store, call: Call): Promise<Host> {
  return await findHost(store, call.path["host"] ?? "");
}

async function viewOf(store: Store, host: Host): Promise<HostView> {
  return hostView(host, await readBeat(store, host.id));
}

async function list(store: Store, call: Call<unknown, HostFilter>): Promise<Answer> {
  const { name } = call.query;
  const page =
    name === undefined ? await listHosts(store, call.query) : { items: await named(store, name) };
  const beats = await store.table.getMany(page.items.map(({ id }) => beatKey(id)));
  const items = page.items.map((host, index) => {
    const beat = beats[index];
    return hostView(host, beat === undefined ? { epoch: 0, seenAt: 0 } : beatOf(beat));
  });
  return { body: { items, next: page.next } };
}

async function named(store: Store, name: string): Promise<readonly Host[]> {
  try {
    const host = await findHost(store, name);
    return host.name === name && host.state !== "removed" ? [host] : [];
  } catch (error) {
    if (isFault(error, "UNKNOWN_HOST")) return [];
    throw error;
  }
}

function wrongState(host: Host): Fault {
  return new Fault("WRONG_STATE", `host ${host.name} is ${host.state}`, { field: "host" });
}

/** Moves a host; one that `stays` answers as it is. WRONG_STATE. */
async function move(
  store: Store,
  call: Call,
  by: { readonly event: HostEvent; readonly stays: readonly HostState[] },
): Promise<Host> {
  const { id } = await hostOf(store, call);
  return await changeHost(store, id, (host) => {
    if (by.stays.includes(host.state)) return host;
    const state = next(hostLifecycle, host.state, by.event);
    if (state === undefined) throw wrongState(host);
    return { ...host, state };
  });
}

async function drain({ store }: Sessions, call: Call): Promise<Answer> {
  const host = await move(store, call, { event: "drain", stays: ["drained"] });
  await changeBeat(store, host.id, (beat) =>
    beat.state === "online" ? { ...beat, state: "drained" } : beat,
  );
  await withdraw(store, host.id);
  return { body: await viewOf(store, host) };
}

/** Its agent has to say hello again: only that puts a host's deployables back on offer. */
async function activate(sessions: Sessions, call: Call): Promise<Answer> {
  const { store } = sessions;
  const before = await hostOf(store, call);
  const stays = ["joined", "online", "offline"] as const;
  const host = await move(store, call, { event: "activate", stays });
  // The heartbeat tells when calls before this one came only half as far: a drain, or both of them.
  const { state } = await readBeat(store, host.id);
  const isTorn = state === "drained" || (state === "online" && host.state === "offline");
  if (before.state === "drained" || isTorn) await endSession(sessions, host.id);
  return { body: await viewOf(store, host) };
}

async function revoke(sessions: Sessions, call: Call): Promise<Answer> {
  const { store } = sessions;
  const { id } = await hostOf(store, call);
  const host = await changeHost(store, id, (known) => {
    if (known.state === "removed") throw wrongState(known);
    const state = next(hostLifecycle, known.state, "silent") ?? known.state;
    return known.revoked ? known : { ...known, state, revoked: true };
  });
  await endSession(sessions, id);
  await withdraw(store, id);
  return { body: await viewOf(store, host) };
}

/** The host routes over given parts. */
export function hostsFunction(sessions: Sessions) {
  const { store } = sessions;
  return httpFunction(hostRoutes, {
    createHost: handle(async (call: Call<CreateHost>) => await createWithToken(store, call)),
    listHosts: handle(async (call: Call<unknown, HostFilter>) => await list(store, call)),
    getHost: handle(async (call: Call) => ({
      body: await viewOf(store, await hostOf(store, call)),
    })),
    removeHost: handle(async (call: Call) => ({
      body: await viewOf(store, await removeHost(sessions, await hostOf(store, call))),
    })),
    createJoinToken: handle(async (call: Call) => await createToken(store, call)),
    drainHost: handle(async (call: Call) => await drain(sessions, call)),
    activateHost: handle(async (call: Call) => await activate(sessions, call)),
    revokeHost: handle(async (call: Call) => await revoke(sessions, call)),
  });
}

const build: Create = (environment) =>
  hostsFunction({ store: storeFrom(environment), push: pushFrom(environment) });

export { build as create };
export const handler = entry(build);
