import { createPrivateKey, type KeyObject } from "node:crypto";
import type { Claim } from "#domain/claim";
import type { Deployable, Handle } from "#domain/deployable";
import { Fault, isFault } from "#domain/faults";
import { attach, detach } from "#domain/transitions";
import { claimRoutes } from "#protocol/http/claim-routes";
import type { AttachRequest, CreateClaim, ReleasedView } from "#protocol/http/claims";
import type { ProgramRequest } from "#protocol/http/deployables";
import { signPermit } from "#protocol/permit";
import {
  claimsOfInstance,
  listAllClaims,
  listClaims,
  readClaim,
  replaceClaim,
  requireVisible,
  visibleClaim,
} from "#store/claims";
import { replaceDeployable } from "#store/deployables";
import { recall, rememberOnce } from "#store/idempotency";
import { deployableKey } from "#store/keys";
import type { List, Wanted } from "#store/lists";
import { onClaim } from "#store/on-claim";
import { failOverdue, type Released, releaseClaim } from "#store/release";
import { valueOrUndefined } from "#store/rows";
import type { Store } from "#store/store";
import { type Create, entry } from "../entry.ts";
import { allocatingOver } from "../parts/allocating-from.ts";
import { Catalogue } from "../parts/catalogue.ts";
import { openstackFrom, openstackSettingsFrom } from "../parts/openstack.ts";
import { permitKey } from "../parts/permit-key.ts";
import { settingsFrom } from "../parts/settings.ts";
import { storeFrom } from "../parts/store.ts";
import { type Answer, type Call, hasRole } from "./call.ts";
import { type Claiming, createClaims } from "./create-claims.ts";
import { programClaimed } from "./program.ts";
import { handle, httpFunction } from "./stack.ts";
import { claimView, operationId } from "./views.ts";

/** A permit is good for a day without the cloud; a lease ends it sooner (design §7). */
const permitMs = 86_400_000;

async function create(claims: Claiming, call: Call<CreateClaim>): Promise<Answer> {
  const granted = await createClaims(claims, call);
  const deployables = granted.replayed
    ? await deployablesOf(claims.store, granted.claims)
    : byId(granted.deployables);
  return {
    status: granted.replayed ? 200 : 201,
    body: { claims: viewsOf(granted.claims, deployables) },
  };
}

function viewsOf(claims: readonly Claim[], deployables: ReadonlyMap<string, Deployable>) {
  return claims.map((claim) => claimView(claim, deployables.get(claim.deployable ?? "")));
}

function byId(deployables: readonly Deployable[]): ReadonlyMap<string, Deployable> {
  return new Map(deployables.map((one) => [one.id, one]));
}

async function deployablesOf(
  store: Store,
  claims: readonly Claim[],
): Promise<ReadonlyMap<string, Deployable>> {
  const held = claims.flatMap(({ host, deployable }) =>
    host === undefined || deployable === undefined ? [] : [deployableKey(host, deployable)],
  );
  const rows = await store.table.getMany(held);
  return byId(rows.flatMap((row) => valueOrUndefined<Deployable>(row) ?? []));
}

interface ClaimFilter extends Wanted {
  readonly instance?: string;
  readonly all?: string;
}

async function list({ store }: Claiming, call: Call<unknown, ClaimFilter>): Promise<Answer> {
  const { caller, query } = call;
  const page = await pageOf(store, call);
  const visible = page.items.filter((claim) => caller.isAdmin || claim.project === caller.project);
  const items = viewsOf(visible, await deployablesOf(store, visible));
  return { body: { items, next: page.next } };

  async function pageOf(from: Store, { caller: by }: typeof call): Promise<List<Claim>> {
    if (query.instance !== undefined)
      return { items: await claimsOfInstance(from, query.instance) };
    if (query.all !== "true") return await listClaims(from, by.project, query);
    if (!by.isAdmin)
      throw new Fault("FORBIDDEN", "only admins see every project", { field: "all" });
    return await listAllClaims(from, query);
  }
}

async function get({ store }: Claiming, call: Call): Promise<Answer> {
  const seen = await visibleClaim(store, call.path["claim"] ?? "", call.caller);
  const claim = await failOverdue(store, seen);
  const deployables = await deployablesOf(store, [claim]);
  const deployable = deployables.get(claim.deployable ?? "");
  // A permit plugs and unplugs: whoever only reads gets none.
  const isPermitted = claim.state === "Bound" && hasRole(call.caller, "member");
  const permit = isPermitted ? await permitOf(store, claim, deployable) : undefined;
  return { body: claimView(claim, deployable, permit) };
}

async function permitOf(
  store: Store,
  claim: Claim,
  deployable: Deployable | undefined,
): Promise<string | undefined> {
  const { id, host, handle: name, fence, project } = claim;
  if (host === undefined || name === undefined || fence === undefined) return undefined;
  if (deployable === undefined) return undefined;
  const key: KeyObject = createPrivateKey(await permitKey(store));
  const until = Math.min(store.now() + permitMs, claim.leaseUntil ?? Number.POSITIVE_INFINITY);
  const sha256 = deployable.wish.image?.sha256;
  const permit = {
    claim: id,
    host,
    deployable: deployable.id,
    handle: name,
    fence,
    project,
    ...(sha256 === undefined ? {} : { sha256 }),
    exp: Math.floor(until / 1000),
  };
  return await signPermit(permit, key);
}

/** The same request again gets the first one's answer; any other finds no claim any more. */
async function release({ store }: Claiming, call: Call): Promise<Answer> {
  const id = call.path["claim"] ?? "";
  const [answered, found] = await Promise.all([
    recall<ReleasedView>(store, call.once),
    readClaim(store, id),
  ]);
  if (answered !== undefined) return { body: answered };
  const visible = requireVisible(found, id, call.caller);
  const answerOf = ({ claim, deployable }: Released): ReleasedView => ({
    id,
    deployable: claim.deployable,
    handle: claim.handle,
    operation:
      deployable?.wish.scrub === undefined
        ? undefined
        : operationId(deployable.id, deployable.imageGeneration),
  });
  const remember = (released: Released) => [
    rememberOnce(call.once, answerOf(released), store.now()),
  ];
  try {
    return { body: answerOf(await releaseClaim(store, visible, remember)) };
  } catch (error) {
    // The same request may have been won meanwhile by its own repetition.
    const winner = isFault(error) ? await recall<ReleasedView>(store, call.once) : undefined;
    if (winner === undefined) throw error;
    return { body: winner };
  }
}

/** Changes the wish for the handle of a Bound claim. WRONG_STATE before it is bound. */
async function changeHandle(
  store: Store,
  call: Call,
  change: (deployable: Deployable, handle: string) => Deployable,
): Promise<Answer> {
  const visible = await visibleClaim(store, call.path["claim"] ?? "", call.caller);
  return await onClaim(store, visible, (claim, deployable) => {
    if (claim.state !== "Bound" || deployable === undefined) {
      throw new Fault("WRONG_STATE", `the claim is ${claim.state}`, { expected: "Bound" });
    }
    const after = change(deployable, claim.handle ?? "");
    return {
      writes: [replaceDeployable(deployable, after)],
      answer: { body: claimView(claim, after) },
    };
  });
}

async function plug({ store }: Claiming, call: Call<AttachRequest>): Promise<Answer> {
  return await changeHandle(store, call, (deployable, name) => {
    const wanted = deployable.handles[name];
    if (wanted?.attachable === false) {
      throw new Fault("GROUP_NOT_VIABLE", wanted.reason ?? "the handle cannot be attached");
    }
    checkElsewhere(wanted, call.body);
    return attach(deployable, name, call.body, store.now());
  });
}

/** A handle that is in a guest, or on its way, goes to no other one before it is out. IN_USE. */
function checkElsewhere(handle: Handle | undefined, to: AttachRequest): void {
  if (handle?.plugged !== true && handle?.state !== "plugged") return;
  const { hypervisor = "another", domain, bus } = handle.target ?? {};
  if (hypervisor === to.hypervisor && domain === to.domain && bus === to.bus) return;
  const where = domain === undefined ? hypervisor : `${hypervisor} ${domain}`;
  throw new Fault("IN_USE", `plugged for ${where}`, { expected: "detach first" });
}

async function renew(
  { store }: Claiming,
  call: Call<{ readonly leaseSeconds: number }>,
): Promise<Answer> {
  const { leaseSeconds } = call.body;
  const { id } = await visibleClaim(store, call.path["claim"] ?? "", call.caller);
  return await onClaim(store, id, (claim, deployable) => {
    const now = store.now();
    const renewed = {
      ...claim,
      leaseSeconds,
      leaseUntil: now + leaseSeconds * 1000,
      updatedAt: now,
    };
    return {
      writes: [replaceClaim(claim, renewed)],
      answer: { body: claimView(renewed, deployable) },
    };
  });
}

/** The claim routes over given parts. */
export function claimsFunction(claims: Claiming) {
  return httpFunction(claimRoutes, {
    createClaims: handle(async (call: Call<CreateClaim>) => await create(claims, call)),
    listClaims: handle(async (call: Call<unknown, ClaimFilter>) => await list(claims, call)),
    getClaim: handle(async (call: Call) => await get(claims, call)),
    releaseClaim: handle(async (call: Call) => await release(claims, call)),
    attachClaim: handle(async (call: Call<AttachRequest>) => await plug(claims, call)),
    detachClaim: handle(
      async (call: Call) =>
        await changeHandle(claims.store, call, (deployable, name) =>
          detach(deployable, name, claims.store.now()),
        ),
    ),
    renewClaim: handle(
      async (call: Call<{ readonly leaseSeconds: number }>) => await renew(claims, call),
    ),
    programClaim: handle(async (call: Call<ProgramRequest>) => {
      const claim = await visibleClaim(claims.store, call.path["claim"] ?? "", call.caller);
      const { caller, once, body: request } = call;
      return await programClaimed(claims, { claim, caller, once, request });
    }),
  });
}

const build: Create = (environment) => {
  const store = storeFrom(environment);
  const openstack = openstackFrom(environment);
  const { shape } = openstackSettingsFrom(environment);
  return claimsFunction({
    store,
    // What a claim takes is synchronized by the stream's function, not while its caller waits.
    allocating: openstack && allocatingOver(store, { openstack, shape }, async () => "same"),
    settings: settingsFrom(environment),
    catalogue: new Catalogue(store),
    hosts: new Map(),
    large: new Map(),
    demand: new Map(),
  });
};

export { build as create };
export const handler = entry(build);
