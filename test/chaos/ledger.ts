import { isDeepStrictEqual } from "node:util";
import type { ClaimView } from "#protocol/http/claims";
import type { Reply } from "./caller.ts";

/** A request for claims, as its client knows it. */
export interface Asked {
  readonly key: string;
  readonly project: string;
  readonly body: object;
  state: "open" | "granted" | "refused";
  /** A try was not answered: it may have been done all the same. */
  unsure: boolean;
  ids: readonly string[];
}

/** A claim, as its owner knows it. */
export interface Held {
  readonly id: string;
  readonly project: string;
  readonly instance?: string | undefined;
  place?: { readonly deployable: string; readonly handle: string; readonly fence: number };
  /** From the answer that first showed it on its handle to the request that last did, ms. */
  from: number;
  to: number;
  bound: boolean;
  /** What was asked for and answered last of the guest; undefined when nobody knows. */
  plugged: boolean | undefined;
  /** Its owner asked for its end, and perhaps was answered. */
  release: "no" | "asked" | "done";
}

/** Something that must never be, by the name of the check that found it. */
export interface Violation {
  readonly check: string;
  readonly what: string;
}

/** What the clients were told: the truth that the cloud is held to. */
export class Ledger {
  readonly asked = new Map<string, Asked>();
  readonly held = new Map<string, Held>();
  readonly violations: Violation[] = [];
  readonly counts = { granted: 0, refused: 0, unsure: 0, released: 0, attached: 0 };

  violated(check: string, what: string): void {
    if (this.violations.length < 50) this.violations.push({ check, what });
  }

  /** A grant was answered, for the first time or again. */
  granted(asked: Asked, claims: readonly ClaimView[], reply: Reply): void {
    const ids = claims.map(({ id }) => id);
    if (asked.state === "granted" && asked.ids.join() !== ids.join()) {
      const both = `${asked.ids.join()} and ${ids.join()}`;
      this.violated("one answer for one key", `${asked.key} was answered with ${both}`);
    }
    if (asked.state !== "granted") this.counts.granted += ids.length;
    asked.state = "granted";
    asked.ids = ids;
    for (const claim of claims) this.take(claim, reply);
  }

  /** A claim of ours that was heard of for the first time. */
  take({ id, project, instance }: ClaimView, reply: Reply): Held {
    const known = this.held.get(id);
    if (known !== undefined) return known;
    const held: Held = {
      id,
      project,
      instance,
      from: reply.heard,
      to: reply.sent,
      bound: false,
      plugged: false,
      release: "no",
    };
    this.held.set(id, held);
    return held;
  }

  /** What a read of a claim showed while its owner has not asked for its end. */
  saw(claim: ClaimView, reply: Reply): void {
    const held = this.held.get(claim.id);
    if (held === undefined || held.release !== "no") return;
    const { state, deployable, handle, fence } = claim;
    if (held.bound && state !== "Bound") {
      this.violated("a bound claim stays bound", `${claim.id} is ${state}`);
    }
    held.bound ||= state === "Bound";
    if (deployable === undefined || handle === undefined || fence === undefined) return;
    if (state === "Bound" || state === "BindStarted") {
      this.#sawOn(held, { deployable, handle, fence }, reply);
    }
  }

  #sawOn(held: Held, place: NonNullable<Held["place"]>, reply: Reply): void {
    if (held.place === undefined) {
      held.place = place;
      held.from = reply.heard;
    }
    if (!isDeepStrictEqual(held.place, place)) {
      const moved = JSON.stringify([held.place, place]);
      this.violated("a bound claim stays bound", `${held.id} moved: ${moved}`);
    }
    held.to = Math.max(held.to, reply.sent);
  }
}

/** Two claims that were both seen on one handle at one time, or under one fence. */
export function sharedHandles(claims: Iterable<Held>): readonly string[] {
  const byHandle = new Map<string, Held[]>();
  for (const held of claims) {
    if (held.place === undefined) continue;
    const name = `${held.place.deployable} ${held.place.handle}`;
    byHandle.set(name, [...(byHandle.get(name) ?? []), held]);
  }
  return [...byHandle].flatMap(([name, held]) =>
    held.flatMap((one, index) =>
      held.slice(index + 1).flatMap((other) => {
        const overlap = Math.min(one.to, other.to) - Math.max(one.from, other.from);
        const both = `${one.id} and ${other.id} on ${name}`;
        if (one.place?.fence === other.place?.fence) return [`${both} under one fence`];
        return overlap > 0 ? [`${both} at once for ${overlap.toFixed(0)} ms`] : [];
      }),
    ),
  );
}
