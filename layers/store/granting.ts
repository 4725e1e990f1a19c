import type { Claim } from "#domain/claim";
import { leastMissed, noteDemand } from "#domain/demand";
import type { Deployable } from "#domain/deployable";
import { Fault } from "#domain/faults";
import { rank, worstRank } from "#domain/matching";
import { fits, pack } from "#domain/packing";
import { deployablesOf } from "#store/deployables";
import { type Choice, type GrantRequest, tryGrant } from "#store/grant";
import { isLarge, type LargePools, lookIntoPool, walkPool } from "#store/pool";
import type { Store } from "#store/store";

/** So many conflicting transactions, and the caller is asked to come again (design §4). */
const mostConflicts = 6;
/** Lost races are bounded by the candidates; this bounds a fleet that changes all the time. */
const mostTries = 200;
/** Walks through the pool after others won every candidate of the walk before, or its hosts are silent. */
const mostWalks = 8;

/** What was granted; a replay does not say how its deployables are by now. */
export type Granted =
  | {
      readonly claims: readonly Claim[];
      readonly replayed: false;
      readonly deployables: readonly Deployable[];
    }
  | { readonly claims: readonly Claim[]; readonly replayed: true };

/** Where a request looks, as far as it is known before its names are resolved. */
export interface Place {
  readonly resourceClass: string;
  readonly host?: string | undefined;
}

/**
 * Candidates of a request whose image is still being read: taken along to {@link grantClaims}, they
 * save it a round trip.
 */
export async function lookAhead(
  store: Store,
  { resourceClass, host }: Place,
  large: LargePools,
): Promise<readonly Deployable[]> {
  return host === undefined
    ? await lookIntoPool(store, { resourceClasses: [resourceClass], ahead: true }, large)
    : await deployablesOf(store, host);
}

/**
 * Grants a request, or says that nothing on offer fits (undefined). First a look into the pool, two
 * round trips with the transaction; only when that finds nothing is the whole pool walked. A lost
 * row comes back with the failure, so the next candidate costs one round trip. `seen` are candidates
 * that {@link lookAhead} found for this request.
 * Throws OVER_QUOTA, IMAGE_NOT_ACTIVE, IDEMPOTENCY_MISMATCH, TRY_AGAIN.
 */
export async function grantClaims(
  store: Store,
  request: GrantRequest,
  large: LargePools,
  seen: readonly Deployable[] = [],
): Promise<Granted | undefined> {
  const granting = { store, request, race: new Race() };
  const early = fitting(request, seen);
  const isEarlyEnough = isEnough(request, early, large);
  const looked = isEarlyEnough ? early : await lookForCandidates(granting, large);
  const quick = await tryCandidates(granting, looked);
  if (quick !== undefined) return quick;
  for (let walk = 0; walk < mostWalks; walk += 1) {
    const { race } = granting;
    const silentBefore = race.silentHosts.size;
    race.wonByOthers = 0;
    const candidates = await walkForCandidates(granting);
    const granted = await tryCandidates(granting, candidates);
    const isSame = race.wonByOthers === 0 && race.silentHosts.size === silentBefore;
    if (granted !== undefined || isSame) return granted;
  }
  throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
}

/** What happened so far in one request. */
class Race {
  conflicts = 0;
  tries = 0;
  wonByOthers = 0;
  readonly silentHosts = new Set<string>();
}

interface Granting {
  readonly store: Store;
  readonly request: GrantRequest;
  readonly race: Race;
}

async function lookForCandidates(
  { store, request }: Granting,
  large: LargePools,
): Promise<Map<string, Deployable>> {
  const host = hostOf(request);
  const several = request.claimIds.length > 1;
  const found =
    host === undefined
      ? await Promise.all(
          request.groups.map(({ need }) => lookIntoPool(store, { ...need, several }, large)),
        )
      : [await deployablesOf(store, host)];
  return fitting(request, found.flat());
}

/**
 * An early look knows no image. In a large pool it may have missed a deployable that has it loaded,
 * and programming costs more than another look.
 */
function isEnough(
  request: GrantRequest,
  early: ReadonlyMap<string, Deployable>,
  large: LargePools,
): boolean {
  if (early.size === 0) return false;
  const need = request.groups[0]?.need;
  if (need === undefined || need.host !== undefined || !isLarge(need, large)) return true;
  return [...early.values()].some((one) => rank(one, need) === 0);
}

async function walkForCandidates({
  store,
  request,
  race,
}: Granting): Promise<Map<string, Deployable>> {
  const host = hostOf(request);
  if (host !== undefined) return fitting(request, await deployablesOf(store, host));
  const all = request.claimIds.length > 1;
  const found = await Promise.all(
    request.groups.map(({ need }) =>
      walkPool(store, need, {
        fits: (one) => !race.silentHosts.has(one.host) && fits(one, need),
        all,
      }),
    ),
  );
  return fitting(request, found.flat());
}

function hostOf(request: GrantRequest): string | undefined {
  return request.groups.find(({ need }) => need.host !== undefined)?.need.host;
}

function fitting(request: GrantRequest, found: readonly Deployable[]): Map<string, Deployable> {
  const useful = found.filter((one) => request.groups.some(({ need }) => fits(one, need)));
  return new Map(useful.map((one) => [one.id, one]));
}

async function tryCandidates(
  granting: Granting,
  candidates: Map<string, Deployable>,
): Promise<Granted | undefined> {
  const { store, request, race } = granting;
  for (;;) {
    const choice = await choose(granting, candidates);
    if (choice === undefined) return undefined;
    race.tries += 1;
    if (race.tries > mostTries) throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
    const attempt = await tryGrant(store, request, choice);
    const { kind } = attempt;
    if (kind === "granted") {
      noteImages(request);
      return { claims: attempt.claims, replayed: false, deployables: attempt.deployables };
    }
    if (kind === "replayed") return { claims: attempt.claims, replayed: true };
    if (attempt.kind === "lost") {
      race.wonByOthers += attempt.changed.size;
      for (const [id, winner] of attempt.changed) refresh(request, candidates, id, winner);
    }
    if (attempt.kind === "host silent") race.silentHosts.add(choice.host);
    if (attempt.kind === "conflict") {
      race.conflicts += 1;
      if (race.conflicts === mostConflicts) {
        throw new Fault("TRY_AGAIN", undefined, { retryAfterSeconds: 1 });
      }
      await store.sleep(store.random() * 10 * 2 ** race.conflicts);
    }
  }
}

function noteImages({ groups, demand }: GrantRequest): void {
  if (demand === undefined) return;
  for (const { image } of groups) if (image !== undefined) noteDemand(demand, image.id);
}

/** A candidate that changed stays one when the row that won still fits. */
function refresh(
  request: GrantRequest,
  candidates: Map<string, Deployable>,
  id: string,
  winner: Deployable | undefined,
): void {
  if (winner !== undefined && request.groups.some(({ need }) => fits(winner, need))) {
    candidates.set(id, winner);
  } else {
    candidates.delete(id);
  }
}

async function choose(
  granting: Granting,
  candidates: Map<string, Deployable>,
): Promise<Choice | undefined> {
  const { request, race } = granting;
  const open = [...candidates.values()].filter((one) => !race.silentHosts.has(one.host));
  return request.claimIds.length === 1
    ? chooseOne(granting, open)
    : await chooseHost(granting, candidates, open);
}

/**
 * The best rank; among those that must lose an image the ones whose image is missed least; and among
 * equals a random one, so that racing callers spread.
 */
function chooseOne({ store, request }: Granting, open: readonly Deployable[]): Choice | undefined {
  const need = request.groups[0]?.need;
  if (need === undefined || open.length === 0) return undefined;
  const best = Math.min(...open.map((one) => rank(one, need)));
  const ranked = open.filter((one) => rank(one, need) === best);
  const losesImage = need.image !== undefined && best === worstRank;
  const equals =
    losesImage && request.demand !== undefined ? leastMissed(ranked, request.demand) : ranked;
  const chosen = equals[Math.floor(store.random() * equals.length)];
  return chosen && choiceOn(request, [chosen]);
}

/** All handles on one host: hosts with most candidates first, each read whole before it is judged. */
async function chooseHost(
  { store, request }: Granting,
  candidates: Map<string, Deployable>,
  open: readonly Deployable[],
): Promise<Choice | undefined> {
  const byHost = [...Map.groupBy(open, (one) => one.host).entries()].toSorted(
    ([, a], [, b]) => b.length - a.length,
  );
  for (const [host, seen] of byHost) {
    const quick = choiceOn(request, seen);
    if (quick !== undefined) return quick;
    const whole = choiceOn(request, await deployablesOf(store, host));
    if (whole !== undefined) return whole;
    for (const one of seen) candidates.delete(one.id);
  }
  return undefined;
}

function choiceOn(request: GrantRequest, deployables: readonly Deployable[]): Choice | undefined {
  const picks = pack(deployables, request.groups);
  const [first] = deployables;
  if (picks === undefined || first === undefined) return undefined;
  return {
    host: first.host,
    picks,
    deployables: new Map(deployables.map((one) => [one.id, one])),
  };
}
