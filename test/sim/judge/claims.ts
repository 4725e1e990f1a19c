import { type Claim, isAwaited, isWaiting } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import type { RowChange } from "#store/memory-rows";
import type { Cause } from "./account.ts";
import type { Grounds } from "./grounds.ts";
import { short } from "./invariants.ts";

/** A bind that is proven in the last moment is written down a few table calls later, ms. */
const lateMs = 60_000;

/** Why a bound claim may be in another state, where it may. */
const reasonFor: Readonly<Partial<Record<Claim["state"], Cause>>> = {
  BindStarted: "unbind",
  Unbound: "unbind",
  BindFailed: "takeover",
  Initial: "release",
  Deleting: "release",
};

/** Judges what a transaction does to a claim. */
export class ClaimJudge {
  readonly #grounds: Grounds;

  constructor(grounds: Grounds) {
    this.#grounds = grounds;
  }

  /** A claim's row as it was and is, once the account has the whole transaction. */
  row(was: Claim | undefined, is: Claim | undefined, changes: readonly RowChange[]): void {
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
    const { account, fail, time } = this.#grounds;
    const name = `claim ${short(was.id)} of ${was.project}`;
    if (account.pointers.has(`INSTANCE#${was.instance}/CLAIM#${was.id}`)) {
      fail("I8", `${name} is gone and its instance still points at it`);
    }
    if (account.hasCause(was.id, "release")) return;
    const isForgotten = was.state === "Initial" || was.state === "Unbound";
    const ends = [was.leaseUntil, isForgotten ? was.deadline : undefined];
    if (ends.some((end) => end !== undefined && end <= time.wall())) return;
    fail("I5", `${name} (${was.state}) is gone and nobody asked for it`);
  }

  /** A claim that is bound changes only for a reason. */
  #moved(was: Claim, is: Claim): void {
    const { account, fail } = this.#grounds;
    if (is.state === "Bound" && was.state === "BindStarted") this.#bound(was, is);
    if (was.state !== "Bound") return;
    const name = `claim ${short(was.id)} of ${was.project}`;
    const cause = reasonFor[is.state];
    if (cause !== undefined && !account.hasCause(was.id, cause)) {
      fail("I5", `${name} went from Bound to ${is.state} by itself`);
    }
    if (is.state === "Bound" && placeOf(was) !== placeOf(is)) {
      fail("I5", `${name} moved from ${placeOf(was)} to ${placeOf(is)}`);
    }
  }

  /** Who waits for a bind is told how it ended. */
  #settled(was: Claim, changes: readonly RowChange[]): void {
    if (!isAwaited(was)) return;
    const outbox = `OUTBOX#${was.id}`;
    if (changes.some(({ key, after }) => key.pk === outbox && after !== undefined)) return;
    this.#grounds.fail("I8", `nobody will tell how the bind of ${short(was.id)} ended`);
  }

  /** Bound means that the card has what was asked for, and in time. */
  #bound({ deadline, id }: Claim, is: Claim): void {
    const { account, fail, time } = this.#grounds;
    if (deadline !== undefined && time.wall() > deadline + lateMs) {
      fail("I7", `claim ${short(id)} was bound long after its deadline`);
    }
    const deployable = account.deployables.get(is.deployable ?? "");
    const wanted = deployable?.wish.image?.functionId;
    if (deployable === undefined || wanted === undefined) return;
    const has = this.#loadedOn(deployable);
    if (has !== undefined && has !== wanted) {
      fail("I5", `claim ${short(id)} is Bound and the card has ${short(has)}`);
    }
  }

  /** What the card has, while it is there and the report of it is of this boot. */
  #loadedOn({ host, cardId, region, bootId }: Deployable): string | undefined {
    const state = this.#grounds.cardsOf(host)?.kernel.state();
    const card = state?.cards.find((one) => one.id === cardId);
    if (state?.bootId !== bootId || card?.present !== true) return undefined;
    return card.regions.find((one) => one.key === region)?.loaded;
  }

  #namesHandle(claim: Claim): void {
    const { account, fail } = this.#grounds;
    const { id, state, handle, deployable } = claim;
    const isHolding = state === "BindStarted" || state === "Bound";
    if (handle === undefined) {
      if (state === "Bound") fail("I1", `claim ${short(id)} is Bound to no handle`);
      return;
    }
    const holder = account.deployables.get(deployable ?? "")?.handles[handle]?.holder;
    if (isHolding && holder?.claim === id) return;
    const whose = holder === undefined ? "nobody" : short(holder.claim);
    fail("I1", `claim ${short(id)} (${state}) names ${handle}, which ${whose} holds`);
  }

  #pointsAt(claim: Claim): void {
    const { account, fail } = this.#grounds;
    const { id, instance, host } = claim;
    if (instance !== undefined && !account.pointers.has(`INSTANCE#${instance}/CLAIM#${id}`)) {
      fail("I8", `claim ${short(id)} cannot be found by its instance`);
    }
    const wait = `HOST#${host}/WAIT#${String(claim.createdAt).padStart(15, "0")}#${id}`;
    if (host !== undefined && account.pointers.has(wait) !== isWaiting(claim)) {
      fail("I8", `the list of waiting claims is wrong about ${short(id)}`);
    }
  }
}

function placeOf({ host, deployable, handle, fence, project }: Claim): string {
  return [host, deployable, handle, fence, project].join("/");
}
