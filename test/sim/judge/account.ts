import type { Claim } from "#domain/claim";
import type { Deployable } from "#domain/deployable";
import type { Beat } from "#domain/host";
import type { Image } from "#domain/image";
import type { RowChange } from "#store/memory-rows";
import { quotaOf } from "#store/quotas";
import { valueOf } from "#store/rows";
import type { Item } from "#store/table";
import { type Fail, short } from "./invariants.ts";

/** Why a claim may end: somebody has asked for it, or its time is over. */
export type Cause = "release" | "unbind" | "takeover";

/** What a project may still claim of a class, and may claim at all. */
export interface Quota {
  readonly left: number;
  readonly limit: number;
}

/** The judge's own account of the table, taken from its changes and never read from it. */
export class Account {
  readonly claims = new Map<string, Claim>();
  readonly deployables = new Map<string, Deployable>();
  readonly images = new Map<string, Image>();
  /** By host; the judge of the host's row enters them. */
  readonly beats = new Map<string, Beat>();
  /** By the key of their row, `QUOTA#project/USE#class`. */
  readonly quotas = new Map<string, Quota>();
  /** `pk/sk` of every pointer. */
  readonly pointers = new Set<string>();
  readonly #ever = new Map<string, { fence: number; project: string }>();
  readonly #held = new Map<string, number>();
  readonly #causes = new Map<string, Set<Cause>>();
  readonly #fail: Fail;

  constructor(fail: Fail) {
    this.#fail = fail;
  }

  /** From now on a claim may end for this cause. */
  mayEnd(claim: string, cause: Cause): void {
    const causes = this.#causes.get(claim) ?? new Set();
    this.#causes.set(claim, causes.add(cause));
  }

  hasCause(claim: string, cause: Cause): boolean {
    return this.#causes.get(claim)?.has(cause) === true;
  }

  /** The project and the latest fence of a claim that is or was; undefined when it never was. */
  ever(claim: string): { readonly fence: number; readonly project: string } | undefined {
    return this.#ever.get(claim);
  }

  /** Claims that there are of a quota, by the key of the quota's row. */
  held(quota: string): number {
    return this.#held.get(quota) ?? 0;
  }

  take({ key, before, after }: RowChange): void {
    const type = (after ?? before)?.["type"];
    if (type === "claim") this.#takeClaim(before, after);
    else if (type === "deployable" && after !== undefined) {
      this.deployables.set(valueOf<Deployable>(after).id, valueOf<Deployable>(after));
    } else if (type === "image" && after !== undefined) {
      this.images.set(valueOf<Image>(after).id, valueOf<Image>(after));
    } else if (type === "quota" && after !== undefined) {
      this.quotas.set(`${key.pk}/${key.sk}`, quotaOf(after));
    } else if (type === "pointer") {
      if (after === undefined) this.pointers.delete(`${key.pk}/${key.sk}`);
      else this.pointers.add(`${key.pk}/${key.sk}`);
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
      this.#fail("once", `claim ${short(is.id)} was made a second time`);
    }
    this.#ever.set(is.id, { fence: is.fence ?? known?.fence ?? 0, project: is.project });
  }

  #count(claim: Claim, by: number): void {
    const key = quotaKey(claim);
    this.#held.set(key, this.held(key) + by);
  }
}

/** The key of the row that counts a claim. */
export function quotaKey({ project, resourceClass }: Claim): string {
  return `QUOTA#${project}/USE#${resourceClass}`;
}

/** The claim that a row holds. */
export function claimIn(item: Item | undefined): Claim | undefined {
  return item === undefined ? undefined : valueOf<Claim>(item);
}
