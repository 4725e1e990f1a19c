import type { Claim } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import type { Beat } from "#domain/host";
import type { Image } from "#domain/image";
import { beatOf } from "#store/hosts";
import type { RowChange } from "#store/memory-rows";
import type { StoredReceipt } from "#store/receipts";
import { valueOf } from "#store/rows";
import type { Item } from "#store/table";
import type { Plugged } from "./cards.ts";
import { Account, type Cause, claimIn, type Quota, quotaKey } from "./judge/account.ts";
import { CardJudge, type Records } from "./judge/cards.ts";
import { ClaimJudge } from "./judge/claims.ts";
import { DeployableJudge } from "./judge/deployables.ts";
import type { Grounds } from "./judge/grounds.ts";
import { ImageJudge } from "./judge/images.ts";
import { type Fail, short, type Violation } from "./judge/invariants.ts";
import type { Time } from "./time.ts";

const chainStart = "0".repeat(64);

/**
 * Sees every transaction at the moment it is done and knows the truth about the cards. It keeps
 * its own account of the table, and shares no rule with the code it judges that it could borrow.
 */
export class Judge {
  violation: Violation | undefined;
  readonly #time: Time;
  readonly #account: Account;
  readonly #claimJudge: ClaimJudge;
  readonly #deployableJudge: DeployableJudge;
  readonly #cardJudge: CardJudge;
  readonly #imageJudge: ImageJudge;
  readonly #heads = new Map<string, StoredReceipt>();

  constructor(truth: Pick<Grounds, "time" | "cardsOf" | "shelf" | "verified">) {
    this.#time = truth.time;
    this.#account = new Account(this.fail);
    const grounds = { ...truth, account: this.#account, fail: this.fail };
    this.#claimJudge = new ClaimJudge(grounds);
    this.#deployableJudge = new DeployableJudge(grounds);
    this.#cardJudge = new CardJudge(grounds);
    this.#imageJudge = new ImageJudge(grounds);
  }

  /** Writes down what is wrong; only the first counts, for the rest may follow from it. */
  readonly fail: Fail = (invariant, message) => {
    this.violation ??= { invariant, message, at: this.#time.elapsed };
  };

  /** Every claim that there is, by id. */
  get claims(): ReadonlyMap<string, Claim> {
    return this.#account.claims;
  }

  /** Every deployable as its row is, by id. */
  get deployables(): ReadonlyMap<string, Deployable> {
    return this.#account.deployables;
  }

  /** Every image as its row is, by id. */
  get images(): ReadonlyMap<string, Image> {
    return this.#account.images;
  }

  /** Every quota by the key of its row. */
  get quotas(): ReadonlyMap<string, Quota> {
    return this.#account.quotas;
  }

  /** `pk/sk` of every pointer. */
  get pointers(): ReadonlySet<string> {
    return this.#account.pointers;
  }

  /** Somebody asks for the end of a claim: from now on it may come. */
  mayEnd(claim: string, cause: Cause): void {
    this.#account.mayEnd(claim, cause);
  }

  /** The project that a claim belongs, or belonged, to. */
  projectOf(claim: string): string | undefined {
    return this.#account.ever(claim)?.project;
  }

  beatOf(host: string): Beat | undefined {
    return this.#account.beats.get(host);
  }

  /** A guest is about to get a handle; `records` are what the agent has on disk by then. */
  plugging(host: string, plug: Plugged, records: Records): void {
    this.#cardJudge.plugging(host, plug, records);
  }

  /** Bits are about to go into a region; `functionId` says which. */
  programming(host: string, id: string, functionId: string, records: Records): void {
    this.#cardJudge.programming(host, id, functionId, records);
  }

  /** Takes a transaction in and judges it as a whole. */
  committed(changes: readonly RowChange[]): void {
    for (const change of changes) this.#account.take(change);
    for (const change of changes) this.#row(change, changes);
  }

  #row(change: RowChange, changes: readonly RowChange[]): void {
    const { before, after, key } = change;
    const type = (after ?? before)?.["type"];
    if (type === "claim") this.#claimRow(change, changes);
    else if (type === "deployable") this.#deployableJudge.row(before, after);
    else if (type === "image") this.#imageJudge.row(imageIn(before), imageIn(after));
    else if (type === "quota") this.#quotaRow(`${key.pk}/${key.sk}`);
    else if (type === "beat" && after !== undefined) this.#beatRow(beatOf(after));
    else if (type === "receipt") this.#receiptRow(before, after);
    else if (type === "pointer" && after !== undefined) this.#pointerRow(key.pk, key.sk);
  }

  #claimRow({ before, after }: RowChange, changes: readonly RowChange[]): void {
    const [was, is] = [claimIn(before), claimIn(after)];
    const one = is ?? was;
    if (one !== undefined) this.#quotaRow(quotaKey(one));
    this.#claimJudge.row(was, is, changes);
  }

  #quotaRow(key: string): void {
    const quota = this.#account.quotas.get(key);
    const held = this.#account.held(key);
    if (quota === undefined) {
      if (held > 0) this.fail("I3", `${key}: ${held} held and no quota`);
    } else if (quota.left !== quota.limit - held) {
      this.fail("I3", `${key}: ${quota.left} left of ${quota.limit}, ${held} held`);
    }
  }

  #beatRow(beat: Beat): void {
    const { beats } = this.#account;
    const before = beats.get(beat.host);
    if (before !== undefined && beat.epoch < before.epoch) {
      this.fail("I2", `the epoch of host ${short(beat.host)} fell to ${beat.epoch}`);
    }
    beats.set(beat.host, beat);
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

  #pointerRow(pk: string, sk: string): void {
    const [, id] = /^CLAIM#(.+)$/.exec(sk) ?? [];
    if (id === undefined || this.claims.has(id)) return;
    this.fail("I8", `${pk} points at claim ${short(id)}, which is gone`);
  }
}

function imageIn(item: Item | undefined): Image | undefined {
  return item === undefined ? undefined : valueOf<Image>(item);
}
