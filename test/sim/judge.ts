import { type Claim, isAwaited, isWaiting, silentAfterMs } from "#domain/claim";
import type { Deployable, Handle } from "#domain/deployable";
import type { Beat } from "#domain/host";
import { beatOf } from "#store/hosts";
import type { RowChange } from "#store/memory-rows";
import { quotaOf } from "#store/quotas";
import type { StoredReceipt } from "#store/receipts";
import { valueOf } from "#store/rows";
import type { Item } from "#store/table";
import type { Journal } from "../../agent/memory/journal.ts";
import type { DeployableMarks } from "../../agent/memory/marks.ts";
import type { Cards, Plugged } from "./cards.ts";
import type { Time } from "./time.ts";

/** What always holds (design §4), by the names that a violation is told under. */
export const invariants = {
  I1: "a handle has at most one claim, and the claim names the handle",
  I2: "a fence and an image generation never fall",
  I3: "left = limit - claims held",
  I4: "what is granted is offered at that moment, and the pool holds nothing else",
  I5: "a bound claim is never lost and never silently changed",
  I6: "program and erase run only while nobody else is disturbed",
  I7: "every claim comes to its end in bounded time",
  I8: "nothing is left behind",
  scrubbed: "scrubbed before re-offered",
  chain: "the receipt chain is unbroken",
  own: "a release touches only its own",
  tenant: "a tenant sees only its own",
  linear: "the history of each handle is linearizable",
  once: "what was asked for once happens once",
  ahead: "what is done to a card is on the agent's disk before it is done",
  alive: "every card is offered again when the faults are over",
} as const;
export type Invariant = keyof typeof invariants;

/** The first thing that was wrong, and when (ms since the run began). */
export interface Violation {
  readonly invariant: Invariant;
  readonly message: string;
  readonly at: number;
}

/** Why a claim may end: somebody has asked for it, or its time is over. */
export type Cause = "release" | "unbind" | "takeover";

/** What an agent keeps of one deployable. */
export interface Records {
  readonly marks: DeployableMarks | undefined;
  readonly journal: Journal | undefined;
}

/** A bind that is proven in the last moment is written down a few table calls later, ms. */
const lateMs = 60_000;

/** Longest way of a write to the table, ms: what was true when it was sent. */
const wayMs = 6000;

const chainStart = "0".repeat(64);
/** Why a bound claim may be in another state, where it may. */
const reasonFor: Readonly<Partial<Record<Claim["state"], Cause>>> = {
  BindStarted: "unbind",
  Unbound: "unbind",
  BindFailed: "takeover",
  Initial: "release",
  Deleting: "release",
};

const short = (id: string): string => id.slice(0, 8);

/**
 * Sees every transaction at the moment it is done and knows the truth about the cards. It keeps
 * its own account of the table, and shares no rule with the code it judges that it could borrow.
 */
export class Judge {
  violation: Violation | undefined;
  readonly claims = new Map<string, Claim>();
  readonly deployables = new Map<string, Deployable>();
  readonly #time: Time;
  readonly #cardsOf: (host: string) => Cards | undefined;
  readonly #ever = new Map<string, { fence: number; project: string }>();
  readonly #causes = new Map<string, Set<Cause>>();
  readonly #beats = new Map<string, Beat>();
  readonly #quotas = new Map<string, { left: number; limit: number }>();
  readonly #held = new Map<string, number>();
  readonly #heads = new Map<string, StoredReceipt>();
  readonly #pointers = new Set<string>();
  /** Of each handle the highest fence of a claim that was plugged. */
  readonly #plugged = new Map<string, number>();

  constructor(time: Time, cardsOf: (host: string) => Cards | undefined) {
    this.#time = time;
    this.#cardsOf = cardsOf;
  }

  /** Writes down what is wrong; only the first counts, for the rest may follow from it. */
  readonly fail = (invariant: Invariant, message: string): void => {
    this.violation ??= { invariant, message, at: this.#time.elapsed };
  };

  /** Somebody asks for the end of a claim: from now on it may come. */
  mayEnd(claim: string, cause: Cause): void {
    const causes = this.#causes.get(claim) ?? new Set();
    this.#causes.set(claim, causes.add(cause));
  }

  /** The project that a claim belongs, or belonged, to. */
  projectOf(claim: string): string | undefined {
    return this.#ever.get(claim)?.project;
  }

  beatOf(host: string): Beat | undefined {
    return this.#beats.get(host);
  }

  /** Claims that quotas should count, by project and class. */
  get quotas(): ReadonlyMap<string, { readonly left: number; readonly limit: number }> {
    return this.#quotas;
  }

  get pointers(): ReadonlySet<string> {
    return this.#pointers;
  }

  /** Takes a transaction in and judges it as a whole. */
  committed(changes: readonly RowChange[]): void {
    for (const change of changes) this.#take(change);
    for (const change of changes) this.#row(change, changes);
  }

  #take({ key, before, after }: RowChange): void {
    const type = (after ?? before)?.["type"];
    if (type === "claim") this.#takeClaim(before, after);
    else if (type === "deployable" && after !== undefined) {
      this.deployables.set(valueOf<Deployable>(after).id, valueOf<Deployable>(after));
    } else if (type === "quota" && after !== undefined) {
      this.#quotas.set(`${key.pk}/${key.sk}`, quotaOf(after));
    } else if (type === "pointer") {
      if (after === undefined) this.#pointers.delete(`${key.pk}/${key.sk}`);
      else this.#pointers.add(`${key.pk}/${key.sk}`);
    }
  }

  #takeClaim(before: Item | undefined, after: Item | undefined): void {
    const [was, is] = [claimIn(before), claimIn(after)];
    if (was !== undefined) this.#count(was, -1);
    if (is === undefined) {
      if (was !== undefined) this.claims.delete(was.id);
      return;
    }
    this.#count(is, 1);
    this.claims.set(is.id, is);
    const known = this.#ever.get(is.id);
    if (known !== undefined && was === undefined) {
      this.fail("once", `claim ${short(is.id)} was made a second time`);
    }
    this.#ever.set(is.id, { fence: is.fence ?? known?.fence ?? 0, project: is.project });
  }

  #count({ project, resourceClass }: Claim, by: number): void {
    const key = `QUOTA#${project}/USE#${resourceClass}`;
    this.#held.set(key, (this.#held.get(key) ?? 0) + by);
  }

  #row(change: RowChange, changes: readonly RowChange[]): void {
    const { before, after, key } = change;
    const type = (after ?? before)?.["type"];
    if (type === "claim") this.#claimRow(claimIn(before), claimIn(after), changes);
    else if (type === "deployable") this.#deployableRow(before, after);
    else if (type === "quota") this.#quotaRow(`${key.pk}/${key.sk}`);
    else if (type === "beat" && after !== undefined) this.#beatRow(beatOf(after));
    else if (type === "receipt") this.#receiptRow(before, after);
    else if (type === "pointer" && after !== undefined) this.#pointerRow(key.pk, key.sk);
  }

  #claimRow(was: Claim | undefined, is: Claim | undefined, changes: readonly RowChange[]): void {
    const one = is ?? was;
    if (one !== undefined) this.#quotaRow(`QUOTA#${one.project}/USE#${one.resourceClass}`);
    if (is !== undefined) {
      this.#namesHandle(is);
      this.#pointsAt(is);
    }
    if (was === undefined) return;
    if (is === undefined) this.#ended(was);
    else this.#moved(was, is);
    if (was.state === "BindStarted" && is?.state !== "BindStarted") this.#settled(was, changes);
  }

  /** A claim goes only when somebody asked for it, or when its time is over. */
  #ended(was: Claim): void {
    const name = `claim ${short(was.id)} of ${was.project}`;
    if (this.#pointers.has(`INSTANCE#${was.instance}/CLAIM#${was.id}`)) {
      this.fail("I8", `${name} is gone and its instance still points at it`);
    }
    if (this.#causes.get(was.id)?.has("release") === true) return;
    const isForgotten = was.state === "Initial" || was.state === "Unbound";
    const ends = [was.leaseUntil, isForgotten ? was.deadline : undefined];
    if (ends.some((end) => end !== undefined && end <= this.#time.wall())) return;
    this.fail("I5", `${name} (${was.state}) is gone and nobody asked for it`);
  }

  /** A claim that is bound changes only for a reason. */
  #moved(was: Claim, is: Claim): void {
    if (is.state === "Bound" && was.state === "BindStarted") this.#bound(was, is);
    if (was.state !== "Bound") return;
    const name = `claim ${short(was.id)} of ${was.project}`;
    const cause = reasonFor[is.state];
    if (cause !== undefined && this.#causes.get(was.id)?.has(cause) !== true) {
      this.fail("I5", `${name} went from Bound to ${is.state} by itself`);
    }
    if (is.state === "Bound" && placeOf(was) !== placeOf(is)) {
      this.fail("I5", `${name} moved from ${placeOf(was)} to ${placeOf(is)}`);
    }
  }

  /** Who waits for a bind is told how it ended. */
  #settled(was: Claim, changes: readonly RowChange[]): void {
    if (!isAwaited(was)) return;
    const outbox = `OUTBOX#${was.id}`;
    if (changes.some(({ key, after }) => key.pk === outbox && after !== undefined)) return;
    this.fail("I8", `nobody will tell how the bind of ${short(was.id)} ended`);
  }

  /** Bound means that the card has what was asked for, and in time. */
  #bound({ deadline, id }: Claim, is: Claim): void {
    if (deadline !== undefined && this.#time.wall() > deadline + lateMs) {
      this.fail("I7", `claim ${short(id)} was bound long after its deadline`);
    }
    const deployable = this.deployables.get(is.deployable ?? "");
    const wanted = deployable?.wish.image?.functionId;
    if (deployable === undefined || wanted === undefined) return;
    const has = this.#loadedOn(deployable);
    if (has !== undefined && has !== wanted) {
      this.fail("I5", `claim ${short(id)} is Bound and the card has ${short(has)}`);
    }
  }

  /** What the card has, while it is there and the report of it is of this boot. */
  #loadedOn({ host, cardId, region, bootId }: Deployable): string | undefined {
    const state = this.#cardsOf(host)?.kernel.state();
    const card = state?.cards.find((one) => one.id === cardId);
    if (state?.bootId !== bootId || card?.present !== true) return undefined;
    return card.regions.find((one) => one.key === region)?.loaded;
  }

  #namesHandle(claim: Claim): void {
    const { id, state, handle, deployable } = claim;
    const isHolding = state === "BindStarted" || state === "Bound";
    if (handle === undefined) {
      if (state === "Bound") this.fail("I1", `claim ${short(id)} is Bound to no handle`);
      return;
    }
    const holder = this.deployables.get(deployable ?? "")?.handles[handle]?.holder;
    if (isHolding && holder?.claim === id) return;
    const whose = holder === undefined ? "nobody" : short(holder.claim);
    this.fail("I1", `claim ${short(id)} (${state}) names ${handle}, which ${whose} holds`);
  }

  #pointsAt(claim: Claim): void {
    const { id, instance, host } = claim;
    if (instance !== undefined && !this.#pointers.has(`INSTANCE#${instance}/CLAIM#${id}`)) {
      this.fail("I8", `claim ${short(id)} cannot be found by its instance`);
    }
    const wait = `HOST#${host}/WAIT#${String(claim.createdAt).padStart(15, "0")}#${id}`;
    if (host !== undefined && this.#pointers.has(wait) !== isWaiting(claim)) {
      this.fail("I8", `the list of waiting claims is wrong about ${short(id)}`);
    }
  }

  #pointerRow(pk: string, sk: string): void {
    const [, id] = /^CLAIM#(.+)$/.exec(sk) ?? [];
    if (id === undefined || this.claims.has(id)) return;
    this.fail("I8", `${pk} points at claim ${short(id)}, which is gone`);
  }

  #quotaRow(key: string): void {
    const quota = this.#quotas.get(key);
    const held = this.#held.get(key) ?? 0;
    if (quota === undefined) {
      if (held > 0) this.fail("I3", `${key}: ${held} held and no quota`);
    } else if (quota.left !== quota.limit - held) {
      this.fail("I3", `${key}: ${quota.left} left of ${quota.limit}, ${held} held`);
    }
  }

  #beatRow(beat: Beat): void {
    const before = this.#beats.get(beat.host);
    if (before !== undefined && beat.epoch < before.epoch) {
      this.fail("I2", `the epoch of host ${short(beat.host)} fell to ${beat.epoch}`);
    }
    this.#beats.set(beat.host, beat);
  }

  #receiptRow(before: Item | undefined, after: Item | undefined): void {
    const receipt = after === undefined ? undefined : valueOf<StoredReceipt>(after);
    if (before !== undefined || receipt === undefined) {
      this.fail("chain", "a receipt was replaced or removed");
      return;
    }
    const { deployable, number, previous } = receipt.body;
    const head = this.#heads.get(deployable);
    const wanted = head?.digest ?? chainStart;
    if (number !== (head?.body.number ?? 0) + 1 || previous !== wanted) {
      this.fail("chain", `receipt ${number} of ${short(deployable)} does not follow its last one`);
    }
    this.#heads.set(deployable, receipt);
  }

  #deployableRow(before: Item | undefined, after: Item | undefined): void {
    if (after === undefined) {
      this.fail("I2", "a deployable's row was removed, and its counters with it");
      return;
    }
    const is = valueOf<Deployable>(after);
    const was = before === undefined ? undefined : valueOf<Deployable>(before);
    if (was !== undefined) this.#counters(was, is);
    for (const [name, handle] of Object.entries(is.handles)) {
      this.#holderOf(is, name, handle);
      this.#freeOf(is, name, handle);
      const last = was?.handles[name];
      if (last?.holder?.claim !== handle.holder?.claim) this.#passed(was, is, name);
    }
    const isPooled = after["gsi1pk"] !== undefined;
    const why = notOffered(is);
    if (isPooled !== (why === undefined)) {
      const where = isPooled ? `is in the pool although ${why}` : "is not in the pool";
      this.fail("I4", `deployable ${short(is.id)} ${where}`);
    }
  }

  #counters(was: Deployable, is: Deployable): void {
    const name = `deployable ${short(is.id)}`;
    if (is.imageGeneration < was.imageGeneration) {
      this.fail("I2", `${name}: image generation fell to ${is.imageGeneration}`);
    }
    const [had, has] = [was.reported, is.reported];
    if (has.epoch < had.epoch || (has.epoch === had.epoch && has.seq < had.seq)) {
      this.fail("I2", `${name}: an older report was believed`);
    }
    for (const [handle, { fence }] of Object.entries(was.handles)) {
      const now = is.handles[handle]?.fence ?? -1;
      if (now < fence) this.fail("I2", `${name}: fence of ${handle} fell from ${fence} to ${now}`);
    }
  }

  #holderOf(deployable: Deployable, name: string, { holder, state, fence }: Handle): void {
    if (holder === undefined) {
      if (state === "claimed" || state === "plugged") {
        this.fail("I1", `handle ${name} is ${state} and nobody holds it`);
      }
      return;
    }
    const claim = this.claims.get(holder.claim);
    const where = `handle ${name} of ${short(deployable.id)}`;
    if (claim === undefined) {
      this.fail("I1", `${where} is held by claim ${short(holder.claim)}, which is gone`);
      return;
    }
    const isNamed = claim.deployable === deployable.id && claim.handle === name;
    if (!isNamed || claim.project !== holder.project || (claim.fence ?? 0) > fence) {
      this.fail("I1", `${where} is held by ${short(claim.id)}, which says otherwise`);
    }
    if (holder.binding !== (claim.state === "BindStarted")) {
      this.fail("I1", `${where}: binding is ${holder.binding} and its claim ${claim.state}`);
    }
  }

  /** A handle that is free holds nothing of anybody and is in no guest: the cards say so. */
  #freeOf({ id, host, scrubMethod }: Deployable, name: string, handle: Handle): void {
    if (handle.state !== "free") return;
    const cards = this.#cardsOf(host);
    const guest = cards?.guestOf(id, name);
    if (guest !== undefined) {
      this.fail("I1", `${name} of ${short(id)} is free and in a guest of ${guest.project}`);
    }
    const left = cards?.leftAt(handle.address) ?? [];
    const found = left.find(({ what }) => scrubMethod === "erase" || what === "registers");
    if (found === undefined) return;
    this.fail("scrubbed", `${name} of ${short(id)} is free with ${found.what} of ${found.project}`);
  }

  /** A handle has another holder than before. */
  #passed(was: Deployable | undefined, is: Deployable, name: string): void {
    const [from, to] = [was?.handles[name], is.handles[name]];
    const where = `handle ${name} of ${short(is.id)}`;
    if (to === undefined || from === undefined || was === undefined) {
      this.fail("I1", `${where} came with a holder`);
      return;
    }
    if (to.fence <= from.fence) this.fail("I2", `${where} changed hands under fence ${to.fence}`);
    if (from.holder !== undefined) this.#leftBy(from.holder.claim, where);
    if (to.holder === undefined) return;
    if (from.holder !== undefined) this.fail("I1", `${where} went from one claim to the next`);
    this.#granted(was, from, where);
  }

  #leftBy(claim: string, where: string): void {
    const { state } = this.claims.get(claim) ?? {};
    if (state === "BindStarted" || state === "Bound") {
      this.fail("own", `${where} was taken from claim ${short(claim)}, which did not end`);
    }
  }

  #granted(was: Deployable, from: Handle, where: string): void {
    const why = notOffered(was);
    if (why !== undefined) this.fail("I4", `${where} was granted although ${why}`);
    if (from.state !== "free") this.fail("I4", `${where} was granted while ${from.state}`);
    const beat = this.#beats.get(was.host);
    const silentMs = this.#time.wall() - (beat?.seenAt ?? 0);
    if (beat?.state !== "online" || silentMs > silentAfterMs + wayMs) {
      this.fail("I4", `${where} was granted on a host that is ${beat?.state} for ${silentMs} ms`);
    }
  }

  /** A guest is about to get a handle; `records` are what the agent has on disk by then. */
  plugging(host: string, plug: Plugged, records: Records): void {
    const { deployable: id, handle: name, claim, project, address } = plug;
    const where = `${name} of ${short(id)}`;
    this.#ownsToPlug(plug, where);
    const fence = this.#ever.get(claim)?.fence ?? 0;
    const highest = this.#plugged.get(`${id}/${name}`) ?? 0;
    if (fence < highest) this.fail("I2", `${where} is plugged under fence ${fence} < ${highest}`);
    this.#plugged.set(`${id}/${name}`, Math.max(fence, highest));
    this.#isWritten(plug, fence, records);
    const left = this.#cardsOf(host)?.leftAt(address) ?? [];
    const other = left.find((one) => one.project !== project);
    if (other !== undefined) {
      this.fail("tenant", `a guest of ${project} finds ${other.what} of ${other.project}`);
    }
  }

  #isWritten({ handle: name, claim }: Plugged, fence: number, records: Records): void {
    if ((records.marks?.fences[name] ?? 0) < fence) {
      this.fail("ahead", `${name} is plugged under fence ${fence}, which is not on disk`);
    }
    if (records.journal?.handles[name]?.plug?.claim !== claim) {
      this.fail("ahead", `${name} is plugged for ${short(claim)}, which the journal does not say`);
    }
  }

  #ownsToPlug({ deployable, handle, claim }: Plugged, where: string): void {
    const row = this.deployables.get(deployable)?.handles[handle];
    const holder = row?.holder?.claim;
    if (row?.state !== "free" && (holder === undefined || holder === claim)) return;
    const whose = holder === undefined ? "nobody" : short(holder);
    this.fail("I1", `${where} goes to a guest of ${short(claim)} while ${whose} holds it`);
  }

  /** Bits are about to go into a region; `functionId` says which. */
  programming(host: string, id: string, functionId: string, records: Records): void {
    const row = this.deployables.get(id);
    if (row === undefined) return;
    if (records.journal?.operation === undefined) {
      this.fail("ahead", `${short(id)} is programmed and the agent's journal does not say so`);
    }
    const cards = this.#cardsOf(host);
    for (const [name, { holder }] of Object.entries(row.handles)) {
      const guest = cards?.guestOf(row.id, name);
      if (guest !== undefined) {
        this.fail("I6", `${name} of ${short(row.id)} is programmed in a guest of ${guest.project}`);
      }
      const isDone = row.outcome.generation === row.imageGeneration;
      const isBound = holder !== undefined && !holder.binding;
      if (isDone && isBound && row.wish.image?.functionId !== functionId) {
        this.fail("I6", `${short(row.id)} gets other logic than ${short(holder.claim)} has`);
      }
    }
  }
}

function claimIn(item: Item | undefined): Claim | undefined {
  return item === undefined ? undefined : valueOf<Claim>(item);
}

function placeOf({ host, deployable, handle, fence, project }: Claim): string {
  return [host, deployable, handle, fence, project].join("/");
}

/** Why nobody may be granted this now; written from the design and not from the code. */
export function notOffered(one: Deployable): string | undefined {
  const handles = Object.values(one.handles);
  const held = handles.filter(({ holder }) => holder !== undefined);
  const facts: readonly (readonly [boolean, string])[] = [
    [!one.present, "the card is gone"],
    [!one.hostOnline, "its host is silent"],
    [one.health.state !== "ok" && one.health.state !== "unmonitored", "it is unhealthy"],
    [!one.enabled, "an operator disabled it"],
    [one.cardOperation !== undefined, "its card is operated on"],
    [one.scrubMethod === undefined, "it cannot be scrubbed"],
    [one.outcome.generation < one.imageGeneration, "a generation is under way"],
    [one.outcome.result === "failed", "its last generation failed"],
    [one.scrubMethod === "erase" && held.length === 0 && !one.clean, "it is not clean"],
    [!handles.some((one) => one.state === "free" && one.attachable), "no handle is free"],
    [one.sharing === "none" && held.length > 0, "it is claimed and not shared"],
  ];
  return facts.find(([isSo]) => isSo)?.[1];
}
