import type { Claim } from "#domain/claim";
import { type Fault, isFault } from "#domain/faults";
import type { Host } from "#domain/host";
import { claimLifecycle, next } from "#domain/lifecycle";
import { type Provider } from "#domain/providers/provider";
import { providersOf } from "#domain/providers/providers";
import { providerId } from "#protocol/uuid";
import { type Binding as Order, startBinding, unbindArq } from "#store/arqs";
import { claimsOfInstance } from "#store/claims";
import { deployablesOf } from "#store/deployables";
import { handOver } from "#store/hand-over";
import { findHost } from "#store/hosts";
import { failOverdue } from "#store/release";
import type { Store } from "#store/store";
import { assign } from "../parts/binding.ts";
import { type Patch, patchesOf } from "./arq-patch.ts";
import { bindTrouble, requestOf } from "./arqs.ts";
import type { Call } from "./endpoint.ts";
import { notFound, type Reply, refusal } from "./errors.ts";
import type { Accelerator } from "./parts.ts";
import { checkService } from "./service-token.ts";
import { uuidArgument } from "./uuids.ts";

/** Binding and unbinding of accelerator requests: all is checked before anything is written. */

type Addition = Extract<Patch, { readonly op: "add" }>;

/** A patch with the request it is for. */
interface Meant<Wanted extends Patch> {
  readonly patch: Wanted;
  readonly claim: Claim;
}

/** Binds and unbinds as the patch says, each request by its own operations; 202 with an empty body. */
export async function patchRequests(parts: Accelerator, call: Call): Promise<Reply> {
  const { store } = parts.binding;
  checkService(parts.settings, call.caller);
  const patches = patchesOf(call.json(), call);
  checkNamed(patches, call.path["uuid"]);
  const meant = await Promise.all(
    patches.map(async (patch) => ({ patch, claim: await current(store, patch.id, call) })),
  );
  const additions = meant.filter(isAddition);
  const removals = meant.filter((one) => !isAddition(one)).map(({ claim }) => claim);
  const [places] = await Promise.all([
    placesOf(parts, additions),
    checkInstances(store, additions),
  ]);
  for (const { claim } of additions) checkState(claim, "bind", ["Initial", "Unbound"]);
  for (const claim of removals) checkState(claim, "unbind", unbindable);
  const orders = additions.map((one) => orderOf(one, places));
  await write(parts, { orders, removals, additions });
  return { status: 202 };
}

const unbindable: readonly Claim["state"][] = ["Initial", "BindStarted", "Bound", "BindFailed"];

function isAddition(one: Meant<Patch>): one is Meant<Addition> {
  return one.patch.op === "add";
}

/** The path of one request takes a patch of this one only. */
function checkNamed(patches: readonly Patch[], text: string | undefined): void {
  if (text === undefined) return;
  const id = uuidArgument(text);
  if (patches.some((patch) => patch.id !== id)) {
    throw refusal(400, `Couldn't apply patch. Reason: The patch is not for ARQ ${id}`);
  }
}

async function current(store: Store, id: string, call: Call): Promise<Claim> {
  return await failOverdue(store, await requestOf(store, id, call));
}

function checkState(
  { id, state }: Claim,
  event: "bind" | "unbind",
  wanted: readonly Claim["state"][],
): void {
  if (next(claimLifecycle, state, event) === undefined) throw badState(id, state, wanted);
}

function badState(id: string, state: string, wanted: readonly string[]): Fault {
  const states = wanted.map((one) => `'${one}'`).join(", ");
  return refusal(409, `Bad state: ${state} for ARQ: ${id}. Expected state(s): [${states}]`);
}

/** An instance gets its accelerators at once: none may be added to those it has. */
async function checkInstances(store: Store, additions: readonly Meant<Addition>[]): Promise<void> {
  const instances = new Set(additions.map(({ patch }) => patch.instance));
  for (const instance of instances) {
    const bound = await claimsOfInstance(store, instance);
    if (bound.some(({ provider }) => provider !== undefined)) {
      throw refusal(
        400,
        `Couldn't apply patch. Reason: Instance ${instance} already has accelerator requests. Cannot bind additional ARQs.`,
      );
    }
  }
}

/** Where a request is to be bound; 404 for a host or a resource provider that is not there. */
function orderOf({ patch, claim }: Meant<Addition>, places: Places): Order {
  const { hostName, provider, instance } = patch;
  const place = places.get(hostName);
  if (place === undefined) throw notFound("Host", hostName, "hostname");
  const found = place.providers.get(provider);
  if (found === undefined) throw notFound("Deployable", provider, "resource provider uuid");
  if (found.resourceClass !== claim.resourceClass) {
    throw refusal(
      400,
      `Couldn't apply patch. Reason: ARQ ${claim.id} is for ${claim.resourceClass}, resource provider ${provider} has ${found.resourceClass}`,
    );
  }
  return { claim, host: place.host.id, hostName, provider, instance };
}

interface Place {
  readonly host: Host;
  readonly providers: ReadonlyMap<string, Provider>;
}

/** The hosts that there are, by name, with their resource providers by uuid. */
type Places = ReadonlyMap<string, Place>;

async function placesOf(
  { binding: { store }, settings }: Accelerator,
  additions: readonly Meant<Addition>[],
): Promise<Places> {
  const names = [...new Set(additions.map(({ patch }) => patch.hostName))];
  const hosts = await Promise.all(names.map(async (name) => await hostNamed(store, name)));
  const places = hosts.flat().map(async (host): Promise<readonly [string, Place]> => {
    const deployables = await deployablesOf(store, host.id);
    const providers = providersOf(settings.shape, host.name, deployables, []);
    const byId = new Map(providers.map((one) => [providerId(one.name), one]));
    return [host.name, { host, providers: byId }];
  });
  return new Map(await Promise.all(places));
}

async function hostNamed(store: Store, name: string): Promise<readonly Host[]> {
  try {
    const host = await findHost(store, name);
    return host.name === name ? [host] : [];
  } catch (error) {
    if (isFault(error, "UNKNOWN_HOST")) return [];
    throw error;
  }
}

/** What is taken off comes first: it may be what a new bind waits for. */
async function write(
  parts: Accelerator,
  wanted: {
    readonly orders: readonly Order[];
    readonly removals: readonly Claim[];
    readonly additions: readonly Meant<Addition>[];
  },
): Promise<void> {
  const { store } = parts.binding;
  try {
    for (const claim of wanted.removals) await unbindArq(store, claim);
    if (wanted.orders.length === 0) return;
    const orders = await handedOver(parts, wanted.orders, wanted.additions);
    const started = await startBinding(store, orders, parts.settings.bindDeadlineMs);
    await assigned(parts, started);
  } catch (error) {
    throw isFault(error, "WRONG_STATE") ? stateTold(error) : error;
  }
}

/** Requests that an admin gives to another project: with their quota, and before they are bound. */
async function handedOver(
  { binding, settings }: Accelerator,
  orders: readonly Order[],
  additions: readonly Meant<Addition>[],
): Promise<readonly Order[]> {
  const projects = new Map(additions.map(({ patch }) => [patch.id, patch.project]));
  const done: Order[] = [];
  for (const order of orders) {
    const project = projects.get(order.claim.id) ?? order.claim.project;
    const { store } = binding;
    done.push({
      ...order,
      claim: await handOver(store, order.claim, { project, defaultQuota: settings.defaultQuota }),
    });
  }
  return done;
}

/**
 * A bind that has begun comes to its end by itself, whatever happens to its first look for a card. One
 * that has failed already is told at once: Nova takes a failed request for one that needs no waiting
 * for, and would run the server without its card.
 */
async function assigned(parts: Accelerator, started: readonly Claim[]): Promise<void> {
  const failed: Claim[] = [];
  for (const claim of started) {
    try {
      const after = await assign(parts.binding, claim);
      if (after.state === "BindFailed") failed.push(after);
    } catch (error) {
      parts.log(error);
    }
  }
  if (failed.length > 0) throw refusal(409, bindTrouble(failed));
}

function stateTold({ detail }: Fault): Fault {
  const [claim, state] = [String(detail["claim"]), String(detail["state"])];
  return badState(claim, state, ["Initial", "Unbound"]);
}
