import { silentAfterMs } from "#domain/claim";
import type { Deployable, Handle } from "#domain/deployable";
import { valueOf } from "#store/rows";
import type { Item } from "#store/table";
import type { Grounds } from "./grounds.ts";
import { short } from "./invariants.ts";
import { notOffered } from "./offered.ts";

/** Longest way of a write to the table, ms: what was true when it was sent. */
const wayMs = 6000;

/** Judges what a transaction does to a deployable and its handles. */
export class DeployableJudge {
  readonly #grounds: Grounds;

  constructor(grounds: Grounds) {
    this.#grounds = grounds;
  }

  /** A deployable's row as it was and is, once the account has the whole transaction. */
  row(before: Item | undefined, after: Item | undefined): void {
    const { fail } = this.#grounds;
    if (after === undefined) {
      fail("I2", "a deployable's row was removed, and its counters with it");
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
      fail("I4", `deployable ${short(is.id)} ${where}`);
    }
  }

  #counters(was: Deployable, is: Deployable): void {
    const { fail } = this.#grounds;
    const name = `deployable ${short(is.id)}`;
    if (is.imageGeneration < was.imageGeneration) {
      fail("I2", `${name}: image generation fell to ${is.imageGeneration}`);
    }
    const [had, has] = [was.reported, is.reported];
    if (has.epoch < had.epoch || (has.epoch === had.epoch && has.seq < had.seq)) {
      fail("I2", `${name}: an older report was believed`);
    }
    for (const [handle, { fence }] of Object.entries(was.handles)) {
      const now = is.handles[handle]?.fence ?? -1;
      if (now < fence) fail("I2", `${name}: fence of ${handle} fell from ${fence} to ${now}`);
    }
  }

  #holderOf(deployable: Deployable, name: string, { holder, state, fence }: Handle): void {
    const { account, fail } = this.#grounds;
    if (holder === undefined) {
      if (state === "claimed" || state === "plugged") {
        fail("I1", `handle ${name} is ${state} and nobody holds it`);
      }
      return;
    }
    const claim = account.claims.get(holder.claim);
    const where = `handle ${name} of ${short(deployable.id)}`;
    if (claim === undefined) {
      fail("I1", `${where} is held by claim ${short(holder.claim)}, which is gone`);
      return;
    }
    const isNamed = claim.deployable === deployable.id && claim.handle === name;
    if (!isNamed || claim.project !== holder.project || (claim.fence ?? 0) > fence) {
      fail("I1", `${where} is held by ${short(claim.id)}, which says otherwise`);
    }
    if (holder.binding !== (claim.state === "BindStarted")) {
      fail("I1", `${where}: binding is ${holder.binding} and its claim ${claim.state}`);
    }
  }

  /** A handle that is free holds nothing of anybody and is in no guest: the cards say so. */
  #freeOf({ id, host, scrubMethod }: Deployable, name: string, handle: Handle): void {
    const { cardsOf, fail } = this.#grounds;
    if (handle.state !== "free") return;
    const cards = cardsOf(host);
    const guest = cards?.guestOf(id, name);
    if (guest !== undefined) {
      fail("I1", `${name} of ${short(id)} is free and in a guest of ${guest.project}`);
    }
    const left = cards?.leftAt(handle.address) ?? [];
    const found = left.find(({ what }) => scrubMethod === "erase" || what === "registers");
    if (found === undefined) return;
    fail("scrubbed", `${name} of ${short(id)} is free with ${found.what} of ${found.project}`);
  }

  /** A handle has another holder than before. */
  #passed(was: Deployable | undefined, is: Deployable, name: string): void {
    const { fail } = this.#grounds;
    const [from, to] = [was?.handles[name], is.handles[name]];
    const where = `handle ${name} of ${short(is.id)}`;
    if (to === undefined || from === undefined || was === undefined) {
      fail("I1", `${where} came with a holder`);
      return;
    }
    if (to.fence <= from.fence) fail("I2", `${where} changed hands under fence ${to.fence}`);
    if (from.holder !== undefined) this.#leftBy(from.holder.claim, where);
    if (to.holder === undefined) return;
    if (from.holder !== undefined) fail("I1", `${where} went from one claim to the next`);
    this.#granted(was, from, where);
  }

  #leftBy(claim: string, where: string): void {
    const { account, fail } = this.#grounds;
    const { state } = account.claims.get(claim) ?? {};
    if (state === "BindStarted" || state === "Bound") {
      fail("own", `${where} was taken from claim ${short(claim)}, which did not end`);
    }
  }

  #granted(was: Deployable, from: Handle, where: string): void {
    const { account, fail, time } = this.#grounds;
    const why = notOffered(was);
    if (why !== undefined) fail("I4", `${where} was granted although ${why}`);
    if (from.state !== "free") fail("I4", `${where} was granted while ${from.state}`);
    const beat = account.beats.get(was.host);
    const silentMs = time.wall() - (beat?.seenAt ?? 0);
    if (beat?.state !== "online" || silentMs > silentAfterMs + wayMs) {
      fail("I4", `${where} was granted on a host that is ${beat?.state} for ${silentMs} ms`);
    }
  }
}
